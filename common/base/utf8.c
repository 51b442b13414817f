/* SPDX-License-Identifier: MIT */
#include "common/base/utf8.h"

static bool is_continuation(struct span text, size_t at)
{
    return at < text.size && (text.bytes[at] & 0xc0) == 0x80;
}

size_t utf8_next(struct span text, uint32_t *out_code)
{
    static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
    uint32_t code;
    size_t size;

    if (text.size == 0)
        return 0;
    if (text.bytes[0] < 0x80) {
        *out_code = text.bytes[0];
        return 1;
    }
    if (text.bytes[0] >= 0xc2 && text.bytes[0] < 0xe0) {
        size = 2;
        code = text.bytes[0] & 0x1f;
    } else if (text.bytes[0] >= 0xe0 && text.bytes[0] < 0xf0) {
        size = 3;
        code = text.bytes[0] & 0x0f;
    } else if (text.bytes[0] >= 0xf0 && text.bytes[0] < 0xf5) {
        size = 4;
        code = text.bytes[0] & 0x07;
    } else {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        if (!is_continuation(text, i))
            return 0;
        code = code << 6 | (text.bytes[i] & 0x3f);
    }
    if (code < smallest[size] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return 0;
    *out_code = code;
    return size;
}

bool utf8_is_valid(struct span text)
{
    while (text.size > 0) {
        uint32_t code;
        size_t size = utf8_next(text, &code);
        if (size == 0)
            return false;
        text = span_slice(text, size, text.size);
    }
    return true;
}

size_t utf8_put(uint32_t code, uint8_t out[4])
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (uint8_t)(0xc0 | code >> 6);
        out[1] = (uint8_t)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (uint8_t)(0xe0 | code >> 12);
        out[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | code >> 18);
    out[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (code & 0x3f));
    return 4;
}
