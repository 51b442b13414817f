/* SPDX-License-Identifier: MIT */
#include "common/base/number.h"

#include <errno.h>
#include <stdio.h>

#include "common/base/error.h"

#define SHOWN(text) (int)((text).size < 40 ? (text).size : 40), (const char *)(text).bytes

/* The digits at the front; returns how many, or -EFBIG. Leading zeros are the caller's business. */
static int take_decimal(struct span text, uint64_t *out)
{
    uint64_t value = 0;
    size_t i;

    for (i = 0; i < text.size && text.bytes[i] >= '0' && text.bytes[i] <= '9'; i++) {
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text.bytes[i] - '0'), &value))
            return -EFBIG;
    }
    *out = value;
    return i > 20 ? -EFBIG : (int)i;
}

int number_parse(struct span text, uint64_t max, uint64_t *out, struct error *err)
{
    uint64_t value = 0;
    int digits = take_decimal(text, &value);

    if (digits == -EFBIG || (digits > 0 && value > max))
        return error_set(err, -EFBIG, "number %.*s is above %llu", SHOWN(text),
                         (unsigned long long)max);
    if (digits <= 0 || (size_t)digits != text.size || (digits > 1 && text.bytes[0] == '0'))
        return error_set(err, -EINVAL, "\"%.*s\" is not a whole number", SHOWN(text));
    *out = value;
    return 0;
}

int number_parse_signed(struct span text, int64_t max, int64_t *out, struct error *err)
{
    int sign = 1;
    struct span digits = text;
    uint64_t value;
    int r;

    if (text.size > 0 && text.bytes[0] == '-') {
        sign = -1;
        digits = span_slice(text, 1, text.size);
    }
    r = number_parse(digits, (uint64_t)max, &value, err);
    if (r < 0)
        return r;
    if (sign < 0 && value == 0)
        return error_set(err, -EINVAL, "\"%.*s\" is not a whole number", SHOWN(text));
    *out = sign * (int64_t)value;
    return 0;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static int parse_with_unit(struct span text, const struct unit *units, size_t unit_count,
                           uint64_t max, const char *what, uint64_t *out, struct error *err)
{
    uint64_t value = 0, product;
    int digits = take_decimal(text, &value);

    if (digits > 0) {
        struct span name = span_trim(span_slice(text, (size_t)digits, text.size));
        for (size_t i = 0; i < unit_count; i++) {
            if (!span_equal_text(name, units[i].name))
                continue;
            if (__builtin_mul_overflow(value, units[i].factor, &product) || product > max)
                return error_set(err, -EFBIG, "%s %.*s is too large", what, SHOWN(text));
            *out = product;
            return 0;
        }
    }
    return error_set(err, -EINVAL, "\"%.*s\" is not a %s", SHOWN(text), what);
}

int number_parse_size(struct span text, uint64_t max, uint64_t *out_bytes, struct error *err)
{
    static const struct unit units[] = {
        { "", 1 },
        { "B", 1 },
        { "K", 1ull << 10 },
        { "KB", 1ull << 10 },
        { "KiB", 1ull << 10 },
        { "M", 1ull << 20 },
        { "MB", 1ull << 20 },
        { "MiB", 1ull << 20 },
        { "G", 1ull << 30 },
        { "GB", 1ull << 30 },
        { "GiB", 1ull << 30 },
        { "T", 1ull << 40 },
        { "TB", 1ull << 40 },
        { "TiB", 1ull << 40 },
    };

    return parse_with_unit(text, units, sizeof(units) / sizeof(units[0]), max, "size (as 8MiB)",
                           out_bytes, err);
}

int number_parse_duration(struct span text, uint64_t max_ms, uint64_t *out_ms, struct error *err)
{
    static const struct unit units[] = {
        { "", 1000 },     { "ms", 1 },       { "s", 1000 },      { "m", 60000 },
        { "h", 3600000 }, { "d", 86400000 }, { "w", 604800000 },
    };

    return parse_with_unit(text, units, sizeof(units) / sizeof(units[0]), max_ms,
                           "duration (as 30s)", out_ms, err);
}

void number_format_size(uint64_t bytes, char out[NUMBER_SIZE_TEXT])
{
    static const char *const names[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    size_t unit = 0;
    double value = (double)bytes / 1024;

    if (bytes < 1024) {
        snprintf(out, NUMBER_SIZE_TEXT, "%u B", (unsigned)bytes);
        return;
    }
    while (value >= 1000 && unit + 1 < sizeof(names) / sizeof(names[0])) {
        value /= 1024;
        unit++;
    }
    snprintf(out, NUMBER_SIZE_TEXT, value < 10 ? "%.2f %s" : "%.1f %s", value, names[unit]);
}
