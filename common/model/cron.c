/* SPDX-License-Identifier: MIT */
#include "common/model/cron.h"

#include <errno.h>
#include <stddef.h>
#include <strings.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/model/zone.h"

#define DAY_S 86400
#define DAYS_MAX (9 * 366) /* 29 February may be eight years away */

static const char *const month_names[] = { "jan", "feb", "mar", "apr", "may", "jun",
                                           "jul", "aug", "sep", "oct", "nov", "dec" };
static const char *const weekday_names[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat" };

static const struct field {
    const char *what;
    int min, max;
    const char *const *names; /* from min on */
    int name_count;
} fields[] = {
    { "the minute", 0, 59, NULL, 0 },
    { "the hour", 0, 23, NULL, 0 },
    { "the day of the month", 1, 31, NULL, 0 },
    { "the month", 1, 12, month_names, 12 },
    { "the day of the week", 0, 7, weekday_names, 7 },
};
#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

/* ------------------------------------------------------------ reading */

static bool take(struct span *rest, char c)
{
    if (rest->size == 0 || rest->bytes[0] != (uint8_t)c)
        return false;
    *rest = span_slice(*rest, 1, rest->size);
    return true;
}

static bool take_number(struct span *rest, int max, int *out)
{
    int value = 0;
    size_t size = 0;

    while (size < rest->size && rest->bytes[size] >= '0' && rest->bytes[size] <= '9') {
        value = value * 10 + (rest->bytes[size++] - '0');
        if (value > max)
            return false;
    }
    *rest = span_slice(*rest, size, rest->size);
    *out = value;
    return size > 0;
}

static bool take_value(const struct field *field, struct span *rest, int *out)
{
    for (int i = 0; i < field->name_count; i++) {
        if (rest->size >= 3 && strncasecmp((const char *)rest->bytes, field->names[i], 3) == 0) {
            *rest = span_slice(*rest, 3, rest->size);
            *out = field->min + i;
            return true;
        }
    }
    return take_number(rest, field->max, out) && *out >= field->min;
}

/* One part between commas. */
static bool take_part(const struct field *field, struct span *rest, uint64_t *io_bits)
{
    int first = field->min, last = field->max, step = 1;
    bool several = take(rest, '*');

    if (!several) {
        if (!take_value(field, rest, &first))
            return false;
        last = first;
        if (take(rest, '-')) {
            several = true;
            if (!take_value(field, rest, &last) || last < first)
                return false;
        }
    }
    if (take(rest, '/') && (!several || !take_number(rest, field->max, &step) || step == 0))
        return false;
    for (int value = first; value <= last; value += step)
        *io_bits |= (uint64_t)1 << value;
    return true;
}

static bool read_field(const struct field *field, struct span text, uint64_t *out)
{
    *out = 0;
    do {
        if (!take_part(field, &text, out))
            return false;
    } while (take(&text, ','));
    return text.size == 0;
}

/* The next word; false: there is none. */
static bool take_word(struct span *rest, struct span *out)
{
    size_t size = 0;

    while (take(rest, ' ') || take(rest, '\t'))
        ;
    while (size < rest->size && rest->bytes[size] != ' ' && rest->bytes[size] != '\t')
        size++;
    *out = span_slice(*rest, 0, size);
    *rest = span_slice(*rest, size, rest->size);
    return size > 0;
}

/* Whether one of the months has one of the days. */
static bool can_be(const struct cron *cron)
{
    for (int month = 1; month <= 12; month++) {
        for (int day = 1; day <= clock_days_of_month(2000, month); day++) {
            if ((cron->months >> month & 1) != 0 && (cron->days >> day & 1) != 0)
                return true;
        }
    }
    return false;
}

int cron_parse(struct span text, struct cron *out, struct error *err)
{
    struct span rest = text, words[FIELD_COUNT], more;
    uint64_t bits[FIELD_COUNT];
    struct cron cron;

    if (text.size > CRON_TEXT_MAX)
        return error_set(err, -EINVAL, "a schedule has at most %d bytes", CRON_TEXT_MAX);
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (!take_word(&rest, &words[i]))
            return error_set(err, -EINVAL,
                             "a schedule has five fields: minute, hour, day of the"
                             " month, month, day of the week");
        if (!read_field(&fields[i], words[i], &bits[i]))
            return error_set(err, -EINVAL, "%s of a schedule is wrong", fields[i].what);
    }
    if (take_word(&rest, &more))
        return error_set(err, -EINVAL, "a schedule has five fields, not more");
    cron = (struct cron){ .minutes = bits[0],
                          .hours = (uint32_t)bits[1],
                          .days = (uint32_t)bits[2],
                          .months = (uint32_t)bits[3],
                          .weekdays = (uint32_t)((bits[4] | bits[4] >> 7) & 0x7f),
                          .any_day = words[2].bytes[0] == '*',
                          .any_weekday = words[4].bytes[0] == '*',
                          .every_hour = bits[1] == 0xffffff };
    if ((cron.any_day || cron.any_weekday) && !can_be(&cron))
        return error_set(err, -EINVAL, "no month of the schedule has such a day");
    *out = cron;
    return 0;
}

/* ------------------------------------------------------------ telling */

static bool is_day(const struct cron *cron, const struct clock_date *date)
{
    const bool day = (cron->days >> date->day & 1) != 0;
    const bool weekday = (cron->weekdays >> date->weekday & 1) != 0;

    if ((cron->months >> date->month & 1) == 0)
        return false;
    return cron->any_day || cron->any_weekday ? day && weekday : day || weekday;
}

/* Of the day that begins at `local_s`: true and the first moment later than `after_s`. Later times
 * of a day are never earlier moments, so the first that fits is the first. */
static bool find_in_day(const struct cron *cron, const struct zone *zone, int64_t local_s,
                        int64_t after_s, int64_t *out_s)
{
    int64_t moments[2];

    for (int hour = 0; hour < 24; hour++) {
        if ((cron->hours >> hour & 1) == 0)
            continue;
        for (int minute = 0; minute < 60; minute++) {
            if ((cron->minutes >> minute & 1) == 0)
                continue;
            zone_moments(zone, local_s + hour * 3600 + minute * 60, moments);
            if (moments[0] > after_s) {
                *out_s = moments[0];
                return true;
            }
        }
    }
    return false;
}

static bool next_by_days(const struct cron *cron, const struct zone *zone, int64_t after_s,
                         int64_t *out_s)
{
    int64_t local_s = after_s + zone_offset(zone, after_s);

    local_s -= ((local_s % DAY_S) + DAY_S) % DAY_S;
    local_s -= DAY_S; /* what was skipped at its end may be due today */
    for (int i = 0; i <= DAYS_MAX; i++, local_s += DAY_S) {
        const struct clock_date date = clock_date_of(local_s);

        if (is_day(cron, &date) && find_in_day(cron, zone, local_s, after_s, out_s))
            return true;
    }
    return false;
}

/* The first moment of the day behind the one of `date`, which is the one of time_s. */
static int64_t next_day(const struct zone *zone, const struct clock_date *date, int64_t time_s)
{
    const struct clock_date midnight = { date->year, date->month, date->day, 0, 0, 0, 0 };
    int64_t moments[2];

    zone_moments(zone, clock_date_time(&midnight) + DAY_S, moments);
    return moments[0] > time_s ? moments[0] : time_s + 60;
}

static bool next_by_minutes(const struct cron *cron, const struct zone *zone, int64_t after_s,
                            int64_t *out_s)
{
    const int64_t end_s = after_s + (int64_t)DAYS_MAX * DAY_S;
    int64_t time_s = after_s + 1;

    while (time_s < end_s) {
        const struct clock_date date = clock_date_of(time_s + zone_offset(zone, time_s));

        if (date.second != 0) {
            time_s += 60 - date.second;
        } else if (!is_day(cron, &date)) {
            time_s = next_day(zone, &date, time_s);
        } else if ((cron->minutes >> date.minute & 1) != 0) {
            *out_s = time_s;
            return true;
        } else {
            time_s += 60;
        }
    }
    return false;
}

int cron_next(const struct cron *cron, const struct zone *zone, int64_t after_s, int64_t *out_s,
              struct error *err)
{
    const bool found = cron->every_hour ? next_by_minutes(cron, zone, after_s, out_s)
                                        : next_by_days(cron, zone, after_s, out_s);

    return found ? 0 : error_set(err, -ENOENT, "the schedule never comes");
}
