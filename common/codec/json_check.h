/* SPDX-License-Identifier: MIT */
#pragma once

#include "common/base/span.h"

struct error;

/*
 * json_check - is this exactly one JSON text by RFC 8259, within our limits?
 *
 * The library that makes the tree is lenient (numbers, control bytes, what stands
 * behind the end) and recursive, so what it sees has passed here first: grammar to
 * the letter, UTF-8, no NUL in texts, depth <= JSON_DEPTH_MAX. No allocation, no
 * recursion. -EBADMSG with the offset.
 */
int json_check(struct span text, struct error *err);
