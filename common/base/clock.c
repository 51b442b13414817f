/* SPDX-License-Identifier: MIT */
#include "common/base/clock.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "common/base/error.h"

#define DAY_S 86400
#define YEAR_9999_END 253402300800 /* the first second of the year 10000 */
#define YEAR_0000_START (-62167219200)

int64_t clock_now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

uint64_t clock_monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t clock_monotonic_ms(void)
{
    return clock_monotonic_ns() / 1000000u;
}

/* Days from 1970-01-01 to the day, in the proleptic Gregorian calendar. Years are counted from
 * March, so that the leap day is the last of its year, in eras of 400 years. */
static int64_t days_from_date(int64_t year, int month, int day)
{
    int64_t y = year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

static void date_from_days(int64_t days, int *out_year, int *out_month, int *out_day)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t march_month = (5 * day_of_year + 2) / 153;

    *out_day = (int)(day_of_year - (153 * march_month + 2) / 5 + 1);
    *out_month = (int)(march_month < 10 ? march_month + 3 : march_month - 9);
    *out_year = (int)(year_of_era + era * 400 + (*out_month <= 2));
}

struct clock_date clock_date_of(int64_t time_s)
{
    struct clock_date date;
    int64_t days = time_s / DAY_S;
    int64_t rest = time_s % DAY_S;

    if (rest < 0) {
        rest += DAY_S;
        days--;
    }
    date_from_days(days, &date.year, &date.month, &date.day);
    date.hour = (int)(rest / 3600);
    date.minute = (int)(rest / 60 % 60);
    date.second = (int)(rest % 60);
    date.weekday = (int)((days % 7 + 11) % 7); /* day 0 was a Thursday */
    return date;
}

int64_t clock_date_time(const struct clock_date *date)
{
    return days_from_date(date->year, date->month, date->day) * DAY_S + (int64_t)date->hour * 3600 +
           (int64_t)date->minute * 60 + date->second;
}

int clock_format(int64_t time_s, char out[CLOCK_TEXT_SIZE], struct error *err)
{
    struct clock_date date;

    if (time_s < YEAR_0000_START || time_s >= YEAR_9999_END)
        return error_set(err, -EINVAL, "time %lld is outside the years 0000 to 9999",
                         (long long)time_s);
    date = clock_date_of(time_s);
    /* The remainders bound the digits, which the compiler checks against the array. */
    snprintf(out, CLOCK_TEXT_SIZE, "%04u-%02u-%02uT%02u:%02u:%02uZ", (unsigned)date.year % 10000u,
             (unsigned)date.month % 100u, (unsigned)date.day % 100u, (unsigned)date.hour % 100u,
             (unsigned)date.minute % 100u, (unsigned)date.second % 100u);
    return 0;
}

/* `count` digits at the front of *rest. */
static bool take_digits(struct span *rest, int count, int *out)
{
    int value = 0;

    if (rest->size < (size_t)count)
        return false;
    for (int i = 0; i < count; i++) {
        uint8_t c = rest->bytes[i];
        if (c < '0' || c > '9')
            return false;
        value = value * 10 + (c - '0');
    }
    *rest = span_slice(*rest, (size_t)count, rest->size);
    *out = value;
    return true;
}

static bool take_byte(struct span *rest, uint8_t byte)
{
    if (rest->size == 0 || rest->bytes[0] != byte)
        return false;
    *rest = span_slice(*rest, 1, rest->size);
    return true;
}

static bool take_fraction(struct span *rest)
{
    int digit;

    if (!take_byte(rest, '.'))
        return true;
    if (!take_digits(rest, 1, &digit))
        return false;
    while (take_digits(rest, 1, &digit))
        ;
    return true;
}

/* Z, +hh:mm, -hh:mm or nothing; seconds east of UTC. */
static bool take_zone(struct span *rest, int64_t *out_offset_s)
{
    int sign = 1, hours, minutes;

    *out_offset_s = 0;
    if (rest->size == 0 || take_byte(rest, 'Z'))
        return rest->size == 0;
    if (take_byte(rest, '-'))
        sign = -1;
    else if (!take_byte(rest, '+'))
        return false;
    if (!take_digits(rest, 2, &hours) || !take_byte(rest, ':') || !take_digits(rest, 2, &minutes) ||
        hours > 23 || minutes > 59 || rest->size != 0)
        return false;
    *out_offset_s = (int64_t)sign * (hours * 3600 + minutes * 60);
    return true;
}

int clock_days_of_month(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && leap ? 29 : days[month - 1];
}

int clock_parse(struct span text, int64_t *out_time_s, struct error *err)
{
    struct span rest = text;
    int year, month, day, hour, minute, second;
    int64_t zone_s;
    bool good;

    good = take_digits(&rest, 4, &year) && take_byte(&rest, '-') && take_digits(&rest, 2, &month) &&
           take_byte(&rest, '-') && take_digits(&rest, 2, &day) &&
           (take_byte(&rest, 'T') || take_byte(&rest, ' ')) && take_digits(&rest, 2, &hour) &&
           take_byte(&rest, ':') && take_digits(&rest, 2, &minute) && take_byte(&rest, ':') &&
           take_digits(&rest, 2, &second) && take_fraction(&rest) && take_zone(&rest, &zone_s) &&
           month >= 1 && month <= 12 && day >= 1 && day <= clock_days_of_month(year, month) &&
           hour <= 23 && minute <= 59 && second <= 59;
    if (!good)
        return error_set(err, -EINVAL, "\"%.*s\" is not a time (YYYY-MM-DDThh:mm:ssZ)",
                         (int)(text.size < 40 ? text.size : 40), (const char *)text.bytes);
    *out_time_s =
        days_from_date(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second - zone_s;
    return 0;
}
