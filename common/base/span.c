/* SPDX-License-Identifier: MIT */
#include "common/base/span.h"

#include <string.h>

struct span span_of(const void *bytes, size_t size)
{
    return (struct span){ bytes, size };
}

struct span span_text(const char *text)
{
    if (text == NULL)
        return (struct span){ NULL, 0 };
    return (struct span){ (const uint8_t *)text, strlen(text) };
}

bool span_equal(struct span a, struct span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.bytes, b.bytes, a.size) == 0);
}

bool span_equal_text(struct span a, const char *text)
{
    return span_equal(a, span_text(text));
}

bool span_starts_with(struct span a, struct span prefix)
{
    return a.size >= prefix.size && span_equal(span_slice(a, 0, prefix.size), prefix);
}

int span_compare(struct span a, struct span b)
{
    size_t both = a.size < b.size ? a.size : b.size;
    int order = both == 0 ? 0 : memcmp(a.bytes, b.bytes, both);

    if (order != 0)
        return order;
    return (a.size > b.size) - (a.size < b.size);
}

struct span span_slice(struct span a, size_t offset, size_t size)
{
    if (offset >= a.size)
        return (struct span){ a.bytes, 0 };
    if (size > a.size - offset)
        size = a.size - offset;
    return (struct span){ a.bytes + offset, size };
}

bool span_cut(struct span *rest, uint8_t separator, struct span *out_head)
{
    const uint8_t *at;

    if (rest->size == 0) {
        *out_head = (struct span){ NULL, 0 };
        return false;
    }
    at = memchr(rest->bytes, separator, rest->size);
    if (at == NULL) {
        *out_head = *rest;
        *rest = (struct span){ rest->bytes + rest->size, 0 };
    } else {
        size_t size = (size_t)(at - rest->bytes);
        *out_head = (struct span){ rest->bytes, size };
        *rest = (struct span){ at + 1, rest->size - size - 1 };
    }
    return true;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct span span_trim(struct span a)
{
    while (a.size > 0 && is_blank(a.bytes[0]))
        a = span_slice(a, 1, a.size);
    while (a.size > 0 && is_blank(a.bytes[a.size - 1]))
        a.size--;
    return a;
}
