/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

/* hex - bytes as lower-case hexadecimal digits (upper case is refused: one writing of a thing). */

/* 2 * size digits and a NUL. */
void hex_encode(const uint8_t *bytes, size_t size, char *out);

/* hex.size / 2 bytes. -EINVAL: an odd count or another character; out is then undefined. */
int hex_decode(struct span hex, uint8_t *out);
