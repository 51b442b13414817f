/* SPDX-License-Identifier: MIT */
#pragma once

#include "common/base/span.h"

struct buf;
struct error;

/* gzip - RFC 1952, for text answers to clients that ask for it. Appends one member. -ENOMEM,
 * -EFBIG. */
int gzip_compress(struct span bytes, struct buf *out, struct error *err);
