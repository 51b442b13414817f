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

static int digit_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

int hex_decode(struct span hex, uint8_t *out)
{
    if (hex.size % 2 != 0)
        return -EINVAL;
    for (size_t i = 0; i < hex.size; i += 2) {
        int high = digit_value(hex.bytes[i]);
        int low = digit_value(hex.bytes[i + 1]);
        if (high < 0 || low < 0)
            return -EINVAL;
        *out++ = (uint8_t)(high << 4 | low);
    }
    return 0;
}
