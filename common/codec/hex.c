/* SPDX-License-Identifier: MIT */
#include "common/codec/hex.h"

#include <errno.h>

void hex_encode(const uint8_t *bytes, size_t size, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < size; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}

/* Digits as value + 1, everything else 0. Listings are mostly hex, so it is looked up. */
static const uint8_t digit_values[256] = {
    ['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

int hex_decode(struct span hex, uint8_t *out)
{
    if (hex.size % 2 != 0)
        return -EINVAL;
    for (size_t i = 0; i < hex.size; i += 2) {
        unsigned high = digit_values[hex.bytes[i]];
        unsigned low = digit_values[hex.bytes[i + 1]];
        if (high == 0 || low == 0)
            return -EINVAL;
        *out++ = (uint8_t)((high - 1) << 4 | (low - 1));
    }
    return 0;
}
