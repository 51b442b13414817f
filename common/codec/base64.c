/* SPDX-License-Identifier: MIT */
#include "common/codec/base64.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/error.h"

static const char plain_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void encode(struct span bytes, const char *alphabet, bool padded, struct buf *out)
{
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t left = bytes.size - i;
        uint32_t group = (uint32_t)bytes.bytes[i] << 16;
        if (left > 1)
            group |= (uint32_t)bytes.bytes[i + 1] << 8;
        if (left > 2)
            group |= bytes.bytes[i + 2];
        buf_add_byte(out, (uint8_t)alphabet[group >> 18]);
        buf_add_byte(out, (uint8_t)alphabet[group >> 12 & 63]);
        if (left > 1)
            buf_add_byte(out, (uint8_t)alphabet[group >> 6 & 63]);
        else if (padded)
            buf_add_byte(out, '=');
        if (left > 2)
            buf_add_byte(out, (uint8_t)alphabet[group & 63]);
        else if (padded)
            buf_add_byte(out, '=');
    }
}

static int character_value(const char *alphabet, uint8_t c)
{
    const char *at = c == '\0' ? NULL : strchr(alphabet, c);

    return at == NULL ? -1 : (int)(at - alphabet);
}

/* `text` without padding. */
static int decode(struct span text, const char *alphabet, struct buf *out)
{
    uint32_t bits = 0;
    int bit_count = 0;

    if (text.size % 4 == 1)
        return -EINVAL;
    for (size_t i = 0; i < text.size; i++) {
        int value = character_value(alphabet, text.bytes[i]);
        if (value < 0)
            return -EINVAL;
        bits = bits << 6 | (uint32_t)value;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            buf_add_byte(out, (uint8_t)(bits >> bit_count));
            bits &= (1u << bit_count) - 1;
        }
    }
    return bits == 0 ? 0 : -EINVAL;
}

void base64_encode(struct span bytes, struct buf *out)
{
    encode(bytes, plain_alphabet, true, out);
}

void base64_url_encode(struct span bytes, struct buf *out)
{
    encode(bytes, url_alphabet, false, out);
}

static int refuse(struct error *err)
{
    return error_set(err, -EINVAL, "not base64");
}

int base64_decode(struct span text, struct buf *out, struct error *err)
{
    size_t padding = 0;

    if (text.size % 4 != 0)
        return refuse(err);
    while (padding < 2 && padding < text.size && text.bytes[text.size - 1 - padding] == '=')
        padding++;
    if (decode(span_slice(text, 0, text.size - padding), plain_alphabet, out) < 0)
        return refuse(err);
    return buf_check(out, err);
}

int base64_url_decode(struct span text, struct buf *out, struct error *err)
{
    if (decode(text, url_alphabet, out) < 0)
        return refuse(err);
    return buf_check(out, err);
}
