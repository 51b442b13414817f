/* SPDX-License-Identifier: MIT */
#include "agent/transfer/likeness.h"

#include <stdbool.h>

#include "common/base/map.h"
#include "common/model/names.h"

static bool is_decimal(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_hexadecimal(uint8_t byte)
{
    return is_decimal(byte) || (byte >= 'a' && byte <= 'f');
}

/* Cuts the last component off. */
static struct span cut_last(struct span *path)
{
    size_t at = path->size;
    struct span last;

    while (at > 0 && path->bytes[at - 1] != '/')
        at--;
    last = span_slice(*path, at, path->size);
    *path = span_slice(*path, 0, at > 0 ? at - 1 : 0);
    return last;
}

/* The end of the run that begins at `at`, and whether it is a number. */
static size_t end_of_run(struct span name, size_t at, bool *out_number)
{
    *out_number = false;
    for (; at < name.size; at++) {
        const uint8_t byte = name.bytes[at];

        *out_number |= is_decimal(byte);
        if (!is_hexadecimal(byte) &&
            !(byte == '.' && *out_number && at + 1 < name.size && is_decimal(name.bytes[at + 1])))
            break;
    }
    return at;
}

uint64_t likeness_name(struct span path)
{
    static const uint64_t key[2] = { 0x6b6b2d6c696b6500u, 0x6e616d6500000001u };
    uint8_t squeezed[COMPONENT_MAX_SIZE];
    struct span name = cut_last(&path);
    size_t size = 0, at = 0;

    while (at < name.size && size < sizeof(squeezed)) {
        bool number;
        size_t end = end_of_run(name, at, &number);

        if (number) {
            squeezed[size++] = '0';
            at = end;
            continue;
        }
        end += end == at;
        while (at < end && size < sizeof(squeezed))
            squeezed[size++] = name.bytes[at++];
    }
    return map_hash(key, span_of(squeezed, size));
}

uint32_t likeness_of(struct span a, struct span b)
{
    uint32_t score = span_equal(cut_last(&a), cut_last(&b)) ? LIKENESS_SAME_NAME : 0;
    struct span front_a = a, front_b = b, of_a, of_b;

    while (a.size > 0 && b.size > 0 && span_equal(cut_last(&a), cut_last(&b)))
        score += 2;
    while (span_cut(&front_a, '/', &of_a) && span_cut(&front_b, '/', &of_b) &&
           span_equal(of_a, of_b))
        score++;
    return score;
}
