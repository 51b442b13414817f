/* SPDX-License-Identifier: MIT */
#include "common/model/zone_rule.h"

#include "common/base/clock.h"

#define DAY_S 86400

static bool take(struct span *rest, char c)
{
    if (rest->size == 0 || rest->bytes[0] != (uint8_t)c)
        return false;
    *rest = span_slice(*rest, 1, rest->size);
    return true;
}

static bool is_letter(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool take_number(struct span *rest, int max, int *out)
{
    int value = 0;

    if (rest->size == 0 || !is_digit(rest->bytes[0]))
        return false;
    while (rest->size > 0 && is_digit(rest->bytes[0])) {
        value = value * 10 + (rest->bytes[0] - '0');
        if (value > max)
            return false;
        *rest = span_slice(*rest, 1, rest->size);
    }
    *out = value;
    return true;
}

/* CET, or <+03>. */
static bool skip_name(struct span *rest)
{
    const bool quoted = take(rest, '<');
    size_t size = 0;

    while (size < rest->size &&
           (is_letter(rest->bytes[size]) ||
            (quoted && (is_digit(rest->bytes[size]) || rest->bytes[size] == '+' ||
                        rest->bytes[size] == '-'))))
        size++;
    *rest = span_slice(*rest, size, rest->size);
    return size >= 3 && (!quoted || take(rest, '>'));
}

/* [+-]hh[:mm[:ss]] */
static bool take_time(struct span *rest, int max_hours, int64_t *out)
{
    const bool negative = take(rest, '-');
    int hours, minutes = 0, seconds = 0;

    if (!negative)
        take(rest, '+');
    if (!take_number(rest, max_hours, &hours))
        return false;
    if (take(rest, ':') && !take_number(rest, 59, &minutes))
        return false;
    if (take(rest, ':') && !take_number(rest, 59, &seconds))
        return false;
    *out = (negative ? -1 : 1) * ((int64_t)hours * 3600 + (int64_t)minutes * 60 + seconds);
    return true;
}

static bool take_day(struct span *rest, struct zone_day *out)
{
    bool good;

    out->time_s = 2 * 3600;
    if (take(rest, 'M')) {
        out->kind = ZONE_DAY_OF_WEEK;
        good = take_number(rest, 12, &out->month) && take(rest, '.') &&
               take_number(rest, 5, &out->week) && take(rest, '.') &&
               take_number(rest, 6, &out->day) && out->month >= 1 && out->week >= 1;
    } else if (take(rest, 'J')) {
        out->kind = ZONE_DAY_JULIAN;
        good = take_number(rest, 365, &out->day) && out->day >= 1;
    } else {
        out->kind = ZONE_DAY_OF_YEAR;
        good = take_number(rest, 365, &out->day);
    }
    return good && (!take(rest, '/') || take_time(rest, 167, &out->time_s));
}

bool zone_rule_parse(struct span text, struct zone_rule *out)
{
    struct span rest = text;
    int64_t west;

    *out = (struct zone_rule){ .has_summer = false };
    if (!skip_name(&rest) || !take_time(&rest, 24, &west))
        return false;
    out->standard_s = -west;
    if (rest.size == 0)
        return true;
    out->has_summer = true;
    out->summer_s = out->standard_s + 3600;
    if (!skip_name(&rest))
        return false;
    if (rest.size > 0 && rest.bytes[0] != ',') {
        if (!take_time(&rest, 24, &west))
            return false;
        out->summer_s = -west;
    }
    return take(&rest, ',') && take_day(&rest, &out->start) && take(&rest, ',') &&
           take_day(&rest, &out->end) && rest.size == 0;
}

/* Midnight of the day, as a clock shows it. */
static int64_t day_of(const struct zone_day *day, int year)
{
    struct clock_date date = { .year = year, .month = 1, .day = 1 };
    int64_t first = clock_date_time(&date);
    int offset;

    if (day->kind == ZONE_DAY_OF_YEAR)
        return first + (int64_t)day->day * DAY_S;
    if (day->kind == ZONE_DAY_JULIAN) /* 29 February is never counted */
        return first + ((int64_t)day->day - 1 +
                        (day->day >= 60 && clock_days_of_month(year, 2) == 29 ? 1 : 0)) *
                           DAY_S;
    date.month = day->month;
    first = clock_date_time(&date);
    offset = (day->day - clock_date_of(first).weekday + 7) % 7 + (day->week - 1) * 7;
    while (offset >= clock_days_of_month(year, day->month))
        offset -= 7;
    return first + (int64_t)offset * DAY_S;
}

int64_t zone_rule_offset(const struct zone_rule *rule, int64_t time_s)
{
    int64_t start, end;
    bool summer;
    int year;

    if (!rule->has_summer)
        return rule->standard_s;
    year = clock_date_of(time_s + rule->standard_s).year;
    start = day_of(&rule->start, year) + rule->start.time_s - rule->standard_s;
    end = day_of(&rule->end, year) + rule->end.time_s - rule->summer_s;
    /* in the south, summer goes over the end of the year */
    summer = start < end ? time_s >= start && time_s < end : time_s >= start || time_s < end;
    return summer ? rule->summer_s : rule->standard_s;
}
