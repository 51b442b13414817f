/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

/* utf8 - RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */

/* The character at the front of `text`: its length in bytes and its code point. 0 at a byte that
 * begins none (or at the end). */
size_t utf8_next(struct span text, uint32_t *out_code);

bool utf8_is_valid(struct span text);

/* Appends to `out` (4 bytes at most) and returns the length. `code` is a valid code point. */
size_t utf8_put(uint32_t code, uint8_t out[4]);
