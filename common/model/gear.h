/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * gear - where a chunk ends: FastCDC with a 64-bit gear (W. Xia and others, "FastCDC: a Fast and
 * Efficient Content-Defined Chunking Approach for Data Deduplication", 2016).
 *
 * A place in the bytes is chosen by the 64 bytes before it, so that an insertion
 * moves the cuts behind it along and all but the nearest chunks stay the same. The
 * cut is easier to come by behind GEAR_NORMAL_SIZE, which draws sizes together.
 *
 * With n bytes left: n <= 4096: all. Else h = 0, and for i from 4096 to
 * min(n, 65536) - 1: h = (h << 1) + gear[byte i]; the chunk ends behind byte i when
 * the upper 16 bits of h (i < 16384) or its upper 12 bits are 0. Else at
 * min(n, 65536). gear[b] = first 8 bytes, little-endian, of SHA-256 of the 17 bytes
 * "kkartifact-gear-1" and b. A byte before 4096 is never looked at.
 */
#define GEAR_MIN_SIZE 4096
#define GEAR_NORMAL_SIZE 16384
#define GEAR_MAX_SIZE 65536

/* The size of the first chunk. `size`: all that is left, or at least GEAR_MAX_SIZE of it. */
size_t gear_cut(const uint8_t *bytes, size_t size);
