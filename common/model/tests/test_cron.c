/* SPDX-License-Identifier: MIT */
#include "common/model/cron.h"

#include <errno.h>

#include "common/base/clock.h"
#include "common/model/zone.h"
#include "tests/support/unit.h"

/* The moments of a schedule behind a time, as UTC, one after the other. */
static void expect(const char *schedule, const char *place, const char *after,
                   const char *const *moments, size_t count)
{
    struct zone *zone;
    struct cron cron;
    char text[CLOCK_TEXT_SIZE];
    int64_t time_s;

    assert_int_equal(zone_load(place, &zone, NULL), 0);
    assert_int_equal(cron_parse(span_text(schedule), &cron, NULL), 0);
    assert_int_equal(clock_parse(span_text(after), &time_s, NULL), 0);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(cron_next(&cron, zone, time_s, &time_s, NULL), 0);
        assert_int_equal(clock_format(time_s, text, NULL), 0);
        assert_string_equal(text, moments[i]);
    }
    zone_free(zone);
}

#define EXPECT(schedule, place, after, ...)                              \
    expect(schedule, place, after, (const char *const[]){ __VA_ARGS__ }, \
           sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *))

static void fields(void **state)
{
    EXPECT("0 3 * * *", "UTC", "2026-03-01T03:00:00Z", "2026-03-02T03:00:00Z");
    EXPECT("0 3 * * *", "UTC", "2026-03-01T02:59:59Z", "2026-03-01T03:00:00Z");
    EXPECT("*/20 * * * *", "UTC", "2026-03-01T00:00:01Z", "2026-03-01T00:20:00Z",
           "2026-03-01T00:40:00Z", "2026-03-01T01:00:00Z");
    EXPECT("5-20/7,50 1,3-4 * * *", "UTC", "2026-03-01T00:00:00Z", "2026-03-01T01:05:00Z",
           "2026-03-01T01:12:00Z", "2026-03-01T01:19:00Z", "2026-03-01T01:50:00Z",
           "2026-03-01T03:05:00Z");
    EXPECT("0 0 1 Jan,JUL *", "UTC", "2026-03-01T00:00:00Z", "2026-07-01T00:00:00Z",
           "2027-01-01T00:00:00Z");
    EXPECT("0 0 31 * *", "UTC", "2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z",
           "2026-05-31T00:00:00Z");
    EXPECT("\t0  0\t1 1 * ", "UTC", "2026-03-01T00:00:00Z", "2027-01-01T00:00:00Z");
}

static void days_of_the_week(void **state)
{
    /* 2026-03-01 is a Sunday */
    EXPECT("0 0 * * 0", "UTC", "2026-02-28T12:00:00Z", "2026-03-01T00:00:00Z",
           "2026-03-08T00:00:00Z");
    EXPECT("0 0 * * 7", "UTC", "2026-02-28T12:00:00Z", "2026-03-01T00:00:00Z");
    EXPECT("0 0 * * sun", "UTC", "2026-02-28T12:00:00Z", "2026-03-01T00:00:00Z");
    EXPECT("0 0 * * fri-7", "UTC", "2026-03-02T12:00:00Z", "2026-03-06T00:00:00Z",
           "2026-03-07T00:00:00Z", "2026-03-08T00:00:00Z", "2026-03-13T00:00:00Z");
}

/* One of the two is enough, unless a field begins with a star: then it has to be both. */
static void day_of_the_month_or_of_the_week(void **state)
{
    EXPECT("0 0 13 * 5", "UTC", "2026-03-02T00:00:00Z", "2026-03-06T00:00:00Z",
           "2026-03-13T00:00:00Z", "2026-03-20T00:00:00Z", "2026-03-27T00:00:00Z",
           "2026-04-03T00:00:00Z", "2026-04-10T00:00:00Z", "2026-04-13T00:00:00Z");
    EXPECT("0 0 */2 * sun", "UTC", "2026-03-01T00:00:00Z", "2026-03-15T00:00:00Z",
           "2026-03-29T00:00:00Z");
}

static void the_29th_of_february(void **state)
{
    EXPECT("0 12 29 2 *", "UTC", "2026-03-01T00:00:00Z", "2028-02-29T12:00:00Z",
           "2032-02-29T12:00:00Z");
    EXPECT("0 12 29 2 *", "UTC", "2096-03-01T00:00:00Z", "2104-02-29T12:00:00Z");
    EXPECT("7 * 29 2 *", "UTC", "2096-03-01T00:00:00Z", "2104-02-29T00:07:00Z");
}

/* 2026-03-29 02:00 is 03:00 there, 2026-10-25 03:00 is 02:00 again. */
static void a_gap(void **state)
{
    EXPECT("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", "2026-03-28T01:30:00Z",
           "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z");
    EXPECT("10,30 2-3 29 3 *", "Europe/Berlin", "2026-03-28T00:00:00Z", "2026-03-29T01:00:00Z",
           "2026-03-29T01:10:00Z", "2026-03-29T01:30:00Z", "2027-03-29T00:10:00Z");
    EXPECT("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:29:00Z", "2026-03-29T00:30:00Z",
           "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z");
    /* at midnight: 2026-03-29 begins at 01:00 */
    EXPECT("0 0 * * *", "Asia/Beirut", "2026-03-28T00:00:00Z", "2026-03-28T22:00:00Z",
           "2026-03-29T21:00:00Z");
    /* a whole day: 2011-12-30 was not there */
    EXPECT("0 12 30 12 *", "Pacific/Apia", "2011-12-01T00:00:00Z", "2011-12-30T10:00:00Z",
           "2012-12-29T22:00:00Z");
}

static void a_repeat(void **state)
{
    EXPECT("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z",
           "2026-10-26T01:30:00Z");
    EXPECT("30 2 * * *", "Europe/Berlin", "2026-10-25T01:00:00Z", "2026-10-26T01:30:00Z");
    EXPECT("30 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", "2026-10-25T00:30:00Z",
           "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z");
}

/* Far behind the last change of the file. */
static void years_to_come(void **state)
{
    EXPECT("0 3 * * *", "Europe/Berlin", "2060-07-01T00:00:00Z", "2060-07-01T01:00:00Z");
    EXPECT("0 3 * * *", "Europe/Berlin", "2060-12-01T00:00:00Z", "2060-12-01T02:00:00Z");
    EXPECT("0 3 * * *", "Australia/Sydney", "2060-12-01T00:00:00Z", "2060-12-01T16:00:00Z");
}

static void refused(void **state)
{
    static const char *const bad[] = {
        "",
        "*",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 0 *",
        "* * * 13 *",
        "* * * * 8",
        "-1 * * * *",
        "5-1 * * * *",
        "*/0 * * * *",
        "5/2 * * * *",
        "*/60 * * * *",
        "1, * * * *",
        ",1 * * * *",
        "1--2 * * * *",
        "a * * * *",
        "* * * january *",
        "* * * * sund",
        "0 0 30 2 *",
        "0 0 31 4,6 *",
        "@daily",
        "** * * * *",
        "1.5 * * * *",
        "99999999999999999999 * * * *",
    };
    struct cron cron = { .minutes = 77 };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (cron_parse(span_text(bad[i]), &cron, NULL) != -EINVAL)
            print_error("taken: \"%s\"\n", bad[i]);
        assert_int_equal(cron_parse(span_text(bad[i]), &cron, NULL), -EINVAL);
        assert_int_equal(cron.minutes, 77);
    }
}

/* Against a look at every minute. */
static void agrees_with_every_minute(void **state)
{
    static const char *const schedules[] = { "7 */5 * * *", "*/13 2 * 10 *", "0 0 25 * 1",
                                             "59 23 * * 6" };
    struct zone *zone;

    assert_int_equal(zone_load("Europe/Berlin", &zone, NULL), 0);
    for (size_t i = 0; i < sizeof(schedules) / sizeof(schedules[0]); i++) {
        struct cron cron;
        int64_t now = 1791000000 - 1791000000 % 60, next = 0; /* October 2026 */
        const int64_t end = now + (int64_t)40 * 86400;

        assert_int_equal(cron_parse(span_text(schedules[i]), &cron, NULL), 0);
        assert_int_equal(cron_next(&cron, zone, now - 1, &next, NULL), 0);
        for (; now < end; now += 60) {
            const int64_t local = now + zone_offset(zone, now);
            const struct clock_date date = clock_date_of(local);
            const bool day = (cron.days >> date.day & 1) != 0;
            const bool weekday = (cron.weekdays >> date.weekday & 1) != 0;
            int64_t moments[2];
            const bool first = zone_moments(zone, local, moments) < 2 || moments[0] == now;
            const bool due = (cron.minutes >> date.minute & 1) != 0 &&
                             (cron.hours >> date.hour & 1) != 0 &&
                             (cron.months >> date.month & 1) != 0 && first &&
                             (cron.any_day || cron.any_weekday ? day && weekday : day || weekday);

            assert_int_equal(due, now == next);
            if (due)
                assert_int_equal(cron_next(&cron, zone, now, &next, NULL), 0);
        }
    }
    zone_free(zone);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields),
        cmocka_unit_test(days_of_the_week),
        cmocka_unit_test(day_of_the_month_or_of_the_week),
        cmocka_unit_test(the_29th_of_february),
        cmocka_unit_test(a_gap),
        cmocka_unit_test(a_repeat),
        cmocka_unit_test(years_to_come),
        cmocka_unit_test(refused),
        cmocka_unit_test(agrees_with_every_minute),
    };

    return cmocka_run_group_tests_name("cron", tests, NULL, NULL);
}
