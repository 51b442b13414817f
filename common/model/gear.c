/* SPDX-License-Identifier: MIT */
#include "common/model/gear.h"

#include "common/model/gear_table.h"

#define SMALL_BITS 16
#define LARGE_BITS 12

/* From `at` to `end`: the place behind the first byte at which the upper `bits` bits are 0, or 0.
 * Four bytes a turn: the one addition that each needs is then all that the next waits for. */
static inline size_t scan(const uint8_t *bytes, size_t at, size_t end, int bits, uint64_t *hash)
{
    const uint64_t below = (uint64_t)1 << (64 - bits);
    uint64_t h = *hash;

    for (; end - at >= 4; at += 4) {
        h = (h << 1) + gear_table[bytes[at]];
        if (h < below)
            return at + 1;
        h = (h << 1) + gear_table[bytes[at + 1]];
        if (h < below)
            return at + 2;
        h = (h << 1) + gear_table[bytes[at + 2]];
        if (h < below)
            return at + 3;
        h = (h << 1) + gear_table[bytes[at + 3]];
        if (h < below)
            return at + 4;
    }
    for (; at < end; at++) {
        h = (h << 1) + gear_table[bytes[at]];
        if (h < below)
            return at + 1;
    }
    *hash = h;
    return 0;
}

size_t gear_cut(const uint8_t *bytes, size_t size)
{
    size_t end = size < GEAR_MAX_SIZE ? size : GEAR_MAX_SIZE;
    size_t middle = end < GEAR_NORMAL_SIZE ? end : GEAR_NORMAL_SIZE;
    uint64_t hash = 0;
    size_t cut;

    if (size <= GEAR_MIN_SIZE)
        return size;
    cut = scan(bytes, GEAR_MIN_SIZE, middle, SMALL_BITS, &hash);
    if (cut == 0)
        cut = scan(bytes, middle, end, LARGE_BITS, &hash);
    return cut == 0 ? end : cut;
}
