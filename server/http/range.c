/* SPDX-License-Identifier: MIT */
#include "server/http/range.h"

#include <string.h>
#include <strings.h>

#include "common/base/span.h"

/* Digits alone, at least one. Beyond 64 bits: the largest number, which is past any end. */
static bool position_parse(struct span text, uint64_t *out)
{
    uint64_t value = 0;

    if (text.size == 0)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t digit = text.bytes[i];

        if (digit < '0' || digit > '9')
            return false;
        if (value > (UINT64_MAX - (digit - '0')) / 10)
            value = UINT64_MAX;
        else
            value = value * 10 + (digit - '0');
    }
    *out = value;
    return true;
}

static struct range range_suffix(uint64_t wanted, uint64_t total_size)
{
    if (wanted == 0 || total_size == 0)
        return (struct range){ .kind = RANGE_UNSATISFIABLE };
    if (wanted > total_size)
        wanted = total_size;
    return (struct range){ RANGE_PART, total_size - wanted, wanted };
}

static struct range range_between(uint64_t first, uint64_t last, uint64_t total_size)
{
    if (first >= total_size)
        return (struct range){ .kind = RANGE_UNSATISFIABLE };
    if (last >= total_size)
        last = total_size - 1;
    return (struct range){ RANGE_PART, first, last - first + 1 };
}

struct range range_parse(const char *header, uint64_t total_size)
{
    const struct range whole = { RANGE_WHOLE, 0, total_size };
    struct span rest, before, unit = { 0 };
    uint64_t first = 0, last = UINT64_MAX;

    if (header == NULL)
        return whole;
    rest = span_text(header);
    if (!span_cut(&rest, '=', &unit) || unit.size != 5 ||
        strncasecmp((const char *)unit.bytes, "bytes", 5) != 0)
        return whole;
    rest = span_trim(rest);
    if (rest.size == 0 || memchr(rest.bytes, ',', rest.size) != NULL ||
        memchr(rest.bytes, '-', rest.size) == NULL)
        return whole;
    span_cut(&rest, '-', &before);
    if (before.size == 0)
        return position_parse(rest, &last) ? range_suffix(last, total_size) : whole;
    if (!position_parse(before, &first))
        return whole;
    if (rest.size > 0 && (!position_parse(rest, &last) || last < first))
        return whole;
    return range_between(first, last, total_size);
}

bool range_condition(const char *if_range, const char *etag)
{
    if (if_range == NULL)
        return true;
    return span_equal_text(span_trim(span_text(if_range)), etag);
}
