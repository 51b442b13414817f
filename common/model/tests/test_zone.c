/* SPDX-License-Identifier: MIT */
#include "common/model/zone.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/model/zone_rule.h"
#include "tests/support/unit.h"

static int64_t at(const char *text)
{
    int64_t time_s;

    assert_int_equal(clock_parse(span_text(text), &time_s, NULL), 0);
    return time_s;
}

/* The C library is asked the same, with the process's one zone: this test has no other thread. */
static void agrees_with_the_c_library(void **state)
{
    static const char *const places[] = { "Europe/Berlin",
                                          "America/New_York",
                                          "Asia/Kathmandu",
                                          "Australia/Lord_Howe",
                                          "Pacific/Apia",
                                          "Asia/Tehran",
                                          "Africa/Casablanca",
                                          "America/St_Johns",
                                          "Etc/GMT-14",
                                          "America/Sao_Paulo",
                                          "UTC" };

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        struct zone *zone;

        assert_int_equal(zone_load(places[i], &zone, NULL), 0);
        setenv("TZ", places[i], 1);
        tzset();
        for (int64_t time_s = at("1950-01-01T00:00:00Z"); time_s < at("2080-01-01T00:00:00Z");
             time_s += 40000 + (time_s & 0x1fff)) {
            time_t seconds = (time_t)time_s;
            struct tm local;

            assert_non_null(localtime_r(&seconds, &local));
            assert_int_equal(zone_offset(zone, time_s), local.tm_gmtoff);
        }
        zone_free(zone);
    }
    unsetenv("TZ");
    tzset();
}

static void moments(void **state)
{
    struct zone *zone;
    int64_t out[2];

    assert_int_equal(zone_load("Europe/Berlin", &zone, NULL), 0);
    assert_int_equal(zone_moments(zone, at("2026-07-01T12:00:00"), out), 1);
    assert_int_equal(out[0], at("2026-07-01T10:00:00Z"));
    assert_int_equal(zone_moments(zone, at("2026-03-29T02:30:00"), out), 0);
    assert_int_equal(out[0], at("2026-03-29T01:00:00Z"));
    assert_int_equal(zone_moments(zone, at("2026-03-29T01:59:59"), out), 1);
    assert_int_equal(zone_moments(zone, at("2026-03-29T03:00:00"), out), 1);
    assert_int_equal(out[0], at("2026-03-29T01:00:00Z"));
    assert_int_equal(zone_moments(zone, at("2026-10-25T02:30:00"), out), 2);
    assert_int_equal(out[0], at("2026-10-25T00:30:00Z"));
    assert_int_equal(out[1], at("2026-10-25T01:30:00Z"));
    zone_free(zone);
}

static void names_that_are_none(void **state)
{
    static const char *const bad[] = {
        "",       "/etc/passwd",    "../../../etc/passwd", "Europe/..",
        "Europe", "Nowhere/Town",   "Europe//Berlin",      "Europe/Berlin/",
        "a b",    "Europe/Berlin\n"
    };
    struct zone *zone = NULL;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(zone_load(bad[i], &zone, NULL), -EINVAL);
        assert_null(zone);
    }
    /* a file of the folder that is none */
    assert_int_equal(zone_load("tzdata", &zone, NULL), -EINVAL);
}

/* Cut anywhere, or one byte other: refused, or a zone that answers. */
static void damaged_files(void **state)
{
    cleanup(buf_release) struct buf bytes = buf_init(1 << 20);
    struct zone *zone;

    assert_int_equal(file_load("/usr/share/zoneinfo/Europe/Berlin", &bytes, NULL), 0);
    for (size_t size = 0; size < bytes.size; size++) {
        assert_int_equal(zone_parse(span_of(bytes.bytes, size), &zone, NULL), -EBADMSG);
    }
    for (size_t i = 0; i < bytes.size; i++) {
        bytes.bytes[i] ^= 0x81;
        if (zone_parse(buf_span(&bytes), &zone, NULL) == 0) {
            int64_t out[2];

            zone_moments(zone, at("2026-03-29T02:30:00"), out);
            zone_free(zone);
        }
        bytes.bytes[i] ^= 0x81;
    }
}

static void rules(void **state)
{
    static const char *const bad[] = {
        "",
        "CE-1",
        "CET",
        "CET-25",
        "CET-1CEST",
        "CET-1CEST,M3.5.0",
        "CET-1CEST,M13.5.0,M10.5.0",
        "CET-1CEST,M3.6.0,M10.5.0",
        "CET-1CEST,M3.5.7,M10.5.0",
        "CET-1CEST,J0,J3",
        "CET-1CEST,366,3",
        "CET-1CEST,J1/168,J3",
        "<CET-1",
        "CET-1CEST,M3.5.0,M10.5.0x",
        "CET-1:60",
    };
    struct zone_rule rule;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(zone_rule_parse(span_text(bad[i]), &rule));
    assert_true(zone_rule_parse(span_text("<-03>3<-02>,M3.5.0/-2,M10.5.0/-1"), &rule));
    assert_int_equal(rule.standard_s, -3 * 3600);
    assert_int_equal(rule.start.time_s, -7200);
    assert_true(zone_rule_parse(span_text("AAA0BBB,J60,365/26"), &rule));
    assert_int_equal(zone_rule_offset(&rule, at("2028-02-29T12:00:00Z")), 0);
    assert_int_equal(zone_rule_offset(&rule, at("2028-03-01T02:00:00Z")), 3600);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_c_library),
        cmocka_unit_test(moments),
        cmocka_unit_test(names_that_are_none),
        cmocka_unit_test(damaged_files),
        cmocka_unit_test(rules),
    };

    return cmocka_run_group_tests_name("zone", tests, NULL, NULL);
}
