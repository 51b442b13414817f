/* SPDX-License-Identifier: MIT */
#include "agent/transfer/name_search.h"

#include <string.h>

#define GUESS_FROM 512 /* names among which a place is guessed: fewer share a page or two */
#define DIGITS_MAX 12  /* letters that are weighed */

/* The value of a byte as a digit of that base; -1: it is none. */
static int digit(uint8_t byte, int base)
{
    if (base == 256)
        return byte;
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    return base == 16 && byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* What is behind the first `skip` bytes as a fraction, up to what is no digit. */
static double weight(struct span name, size_t skip, int base)
{
    double sum = 0, unit = 1;

    for (size_t i = skip; i < name.size && i < skip + DIGITS_MAX; i++) {
        int value = digit(name.bytes[i], base);
        if (value < 0)
            break;
        unit /= base;
        sum += unit * value;
    }
    return sum;
}

/* Decimal numbers, digests, or anything. */
static int guess_base(struct span low, struct span high, size_t skip)
{
    int base = 10;

    for (size_t i = skip; i < low.size && i < high.size; i++) {
        if (digit(low.bytes[i], 16) < 0 || digit(high.bytes[i], 16) < 0)
            return i == skip ? 256 : base;
        if (digit(low.bytes[i], 10) < 0 || digit(high.bytes[i], 10) < 0)
            base = 16;
    }
    return base;
}

/* Between the two names that are known. */
static uint64_t guess(const struct name_search *search)
{
    const uint64_t count = search->last - search->first;
    struct span low = span_of(search->low, search->low_size);
    struct span high = span_of(search->high, search->high_size);
    uint64_t place = count / 2;
    size_t skip = 0;
    double from, to, at;
    int base;

    while (skip < low.size && skip < high.size && low.bytes[skip] == high.bytes[skip])
        skip++;
    base = guess_base(low, high, skip);
    from = weight(low, skip, base);
    to = weight(high, skip, base);
    at = weight(search->name, skip, base);
    if (to > from && at > from && at < to)
        place = (uint64_t)((at - from) / (to - from) * (double)count);
    return search->first + (place < count ? place : count - 1);
}

struct name_search name_search_init(struct span name, uint64_t first, uint64_t last)
{
    return (struct name_search){ .name = name, .first = first, .last = last };
}

bool name_search_next(struct name_search *search, uint64_t *out_place)
{
    const uint64_t count = search->last - search->first;

    if (search->first >= search->last)
        return false;
    if (count <= GUESS_FROM)
        search->place = search->first + count / 2;
    else if (!search->has_low || !search->has_high)
        search->place = search->has_low ? search->last - 1 : search->first;
    else if (++search->looks % 3 == 0)
        search->place = search->first + count / 2;
    else
        search->place = guess(search);
    *out_place = search->place;
    return true;
}

bool name_search_tell(struct name_search *search, struct span there)
{
    int order = span_compare(there, search->name);

    if (order < 0) {
        search->first = search->place + 1;
        memcpy(search->low, there.bytes, there.size);
        search->low_size = (uint16_t)there.size;
        search->has_low = true;
    } else if (order > 0) {
        search->last = search->place;
        memcpy(search->high, there.bytes, there.size);
        search->high_size = (uint16_t)there.size;
        search->has_high = true;
    }
    return order == 0;
}
