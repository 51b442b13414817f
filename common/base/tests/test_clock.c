/* SPDX-License-Identifier: MIT */
#include "common/base/clock.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "common/base/error.h"
#include "tests/support/unit.h"

static void known_times(void **state)
{
    static const struct {
        int64_t time_s;
        const char *text;
    } known[] = {
        { 0, "1970-01-01T00:00:00Z" },
        { -1, "1969-12-31T23:59:59Z" },
        { 951782400, "2000-02-29T00:00:00Z" },
        { 1766770200, "2025-12-26T17:30:00Z" },
        { 253402300799, "9999-12-31T23:59:59Z" },
        { -62167219200, "0000-01-01T00:00:00Z" },
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        char text[CLOCK_TEXT_SIZE];
        int64_t time_s = 1;
        assert_int_equal(clock_format(known[i].time_s, text, NULL), 0);
        assert_string_equal(text, known[i].text);
        assert_int_equal(clock_parse(span_text(text), &time_s, NULL), 0);
        assert_true(time_s == known[i].time_s);
    }
}

static void agrees_with_the_c_library_over_four_centuries(void **state)
{
    for (int64_t time_s = -5000000000; time_s < 8000000000; time_s += 86400 * 7 + 3601) {
        char ours[CLOCK_TEXT_SIZE], theirs[64];
        time_t t = time_s;
        struct tm parts;
        assert_int_equal(clock_format(time_s, ours, NULL), 0);
        assert_non_null(gmtime_r(&t, &parts));
        strftime(theirs, sizeof(theirs), "%Y-%m-%dT%H:%M:%SZ", &parts);
        assert_string_equal(ours, theirs);
    }
}

static void zones_and_fractions(void **state)
{
    int64_t a = 0;

    assert_int_equal(clock_parse(span_text("1970-01-01T01:00:00+01:00"), &a, NULL), 0);
    assert_int_equal(a, 0);
    assert_int_equal(clock_parse(span_text("1969-12-31 18:30:00-05:30"), &a, NULL), 0);
    assert_int_equal(a, 0);
    assert_int_equal(clock_parse(span_text("1970-01-01T00:00:07.999"), &a, NULL), 0);
    assert_int_equal(a, 7);
}

static void refused(void **state)
{
    static const char *const bad[] = {
        "",
        "1970",
        "1970-01-01",
        "1970-13-01T00:00:00Z",
        "1970-00-01T00:00:00Z",
        "1971-02-29T00:00:00Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z",
        "1970-01-01T00:00:60Z",
        "1970-01-01T00:00:00z",
        "1970-01-01T00:00:00Z ",
        "1970-01-01T00:00:00.Z",
        "1970-01-01T00:00:00+1:00",
        " 1970-01-01T00:00:00Z",
    };
    char text[CLOCK_TEXT_SIZE];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t time_s = 5;
        assert_int_equal(clock_parse(span_text(bad[i]), &time_s, NULL), -EINVAL);
        assert_int_equal(time_s, 5);
    }
    assert_int_equal(clock_format(253402300800, text, NULL), -EINVAL);
    assert_int_equal(clock_format(INT64_MIN, text, NULL), -EINVAL);
}

static void dates(void **state)
{
    static const struct clock_date known[] = {
        { 1970, 1, 1, 0, 0, 0, 4 }, { 1969, 12, 31, 23, 59, 59, 3 }, { 2000, 2, 29, 12, 30, 15, 2 },
        { 2100, 3, 1, 0, 0, 0, 1 }, { 1600, 1, 1, 0, 0, 0, 6 },
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        struct clock_date date = clock_date_of(clock_date_time(&known[i]));

        assert_memory_equal(&date, &known[i], sizeof(date));
    }
    assert_int_equal(clock_days_of_month(2100, 2), 28);
    assert_int_equal(clock_days_of_month(2000, 2), 29);
    assert_int_equal(clock_days_of_month(2001, 12), 31);
}

static void clocks_go_on(void **state)
{
    uint64_t before = clock_monotonic_ns();

    assert_true(clock_now_s() > 1600000000);
    assert_true(clock_monotonic_ns() >= before);
    assert_true(clock_monotonic_ms() >= before / 1000000);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_times),
        cmocka_unit_test(agrees_with_the_c_library_over_four_centuries),
        cmocka_unit_test(zones_and_fractions),
        cmocka_unit_test(refused),
        cmocka_unit_test(dates),
        cmocka_unit_test(clocks_go_on),
    };

    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
