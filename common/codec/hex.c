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

/* Digits as value + 16, everything else 0. Listings are mostly hex, so it is looked up. */
static const uint8_t digit_values[256] = {
    ['0'] = 16, ['1'] = 17, ['2'] = 18, ['3'] = 19, ['4'] = 20, ['5'] = 21, ['6'] = 22, ['7'] = 23,
    ['8'] = 24, ['9'] = 25, ['a'] = 26, ['b'] = 27, ['c'] = 28, ['d'] = 29, ['e'] = 30, ['f'] = 31,
};

/* Whether all were digits is asked once, at the end: no branch a digit. */
int hex_decode(struct span hex, uint8_t *out)
{
    unsigned all = 16;

    if (hex.size % 2 != 0)
        return -EINVAL;
    for (size_t i = 0; i < hex.size; i += 2) {
        unsigned high = digit_values[hex.bytes[i]];
        unsigned low = digit_values[hex.bytes[i + 1]];
        all &= high & low;
        *out++ = (uint8_t)(high << 4 | (low & 15));
    }
    return all == 0 ? -EINVAL : 0;
}
