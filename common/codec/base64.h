/* SPDX-License-Identifier: MIT */
#pragma once

#include "common/base/span.h"

struct buf;
struct error;

/*
 * base64 - RFC 4648, with padding; and the URL alphabet without padding for
 * cursors and tokens. Decoding is strict: no white space, no missing or surplus
 * padding, unused bits zero, so that each byte string has one writing. -EINVAL.
 */
void base64_encode(struct span bytes, struct buf *out);
int base64_decode(struct span text, struct buf *out, struct error *err);

void base64_url_encode(struct span bytes, struct buf *out);
int base64_url_decode(struct span text, struct buf *out, struct error *err);
