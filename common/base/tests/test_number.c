/* SPDX-License-Identifier: MIT */
#include "common/base/number.h"

#include <errno.h>

#include "tests/support/unit.h"

static void decimals(void **state)
{
    uint64_t n = 7;

    assert_int_equal(number_parse(span_text("0"), 10, &n, NULL), 0);
    assert_int_equal(n, 0);
    assert_int_equal(number_parse(span_text("18446744073709551615"), UINT64_MAX, &n, NULL), 0);
    assert_true(n == UINT64_MAX);
    n = 7;
    assert_int_equal(number_parse(span_text("18446744073709551616"), UINT64_MAX, &n, NULL), -EFBIG);
    assert_int_equal(number_parse(span_text("11"), 10, &n, NULL), -EFBIG);
    assert_int_equal(number_parse(span_text(""), 10, &n, NULL), -EINVAL);
    assert_int_equal(number_parse(span_text("01"), 10, &n, NULL), -EINVAL);
    assert_int_equal(number_parse(span_text("+1"), 10, &n, NULL), -EINVAL);
    assert_int_equal(number_parse(span_text("1 "), 10, &n, NULL), -EINVAL);
    assert_int_equal(number_parse(span_text("1x"), 10, &n, NULL), -EINVAL);
    assert_int_equal(number_parse(span_text("000000000000000000000"), 10, &n, NULL), -EFBIG);
    assert_int_equal(n, 7);
}

static void signed_decimals(void **state)
{
    int64_t n = 7;

    assert_int_equal(number_parse_signed(span_text("-42"), 100, &n, NULL), 0);
    assert_int_equal(n, -42);
    assert_int_equal(number_parse_signed(span_text("-0"), 100, &n, NULL), -EINVAL);
    assert_int_equal(number_parse_signed(span_text("--1"), 100, &n, NULL), -EINVAL);
    assert_int_equal(number_parse_signed(span_text("-101"), 100, &n, NULL), -EFBIG);
}

static void sizes(void **state)
{
    uint64_t n = 0;

    assert_int_equal(number_parse_size(span_text("4096"), UINT64_MAX, &n, NULL), 0);
    assert_int_equal(n, 4096);
    assert_int_equal(number_parse_size(span_text("8MiB"), UINT64_MAX, &n, NULL), 0);
    assert_int_equal(n, 8 << 20);
    assert_int_equal(number_parse_size(span_text("10G"), UINT64_MAX, &n, NULL), 0);
    assert_true(n == 10ull << 30);
    assert_int_equal(number_parse_size(span_text("99999999T"), UINT64_MAX, &n, NULL), -EFBIG);
    assert_int_equal(number_parse_size(span_text("2K"), 2047, &n, NULL), -EFBIG);
    assert_int_equal(number_parse_size(span_text("G"), UINT64_MAX, &n, NULL), -EINVAL);
    assert_int_equal(number_parse_size(span_text("1X"), UINT64_MAX, &n, NULL), -EINVAL);
}

static void durations(void **state)
{
    uint64_t ms = 0;

    assert_int_equal(number_parse_duration(span_text("90d"), UINT64_MAX, &ms, NULL), 0);
    assert_true(ms == 90ull * 86400000);
    assert_int_equal(number_parse_duration(span_text("500ms"), UINT64_MAX, &ms, NULL), 0);
    assert_int_equal(ms, 500);
    assert_int_equal(number_parse_duration(span_text("30"), UINT64_MAX, &ms, NULL), 0);
    assert_int_equal(ms, 30000);
    assert_int_equal(number_parse_duration(span_text("5y"), UINT64_MAX, &ms, NULL), -EINVAL);
}

static void sizes_for_people(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } known[] = { { 0, "0 B" },         { 1023, "1023 B" },         { 1024, "1.00 KiB" },
                  { 1536, "1.50 KiB" }, { 1ull << 30, "1.00 GiB" }, { UINT64_MAX, "16.0 EiB" } };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        char text[NUMBER_SIZE_TEXT];
        number_format_size(known[i].bytes, text);
        assert_string_equal(text, known[i].text);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(decimals),  cmocka_unit_test(signed_decimals),  cmocka_unit_test(sizes),
        cmocka_unit_test(durations), cmocka_unit_test(sizes_for_people),
    };

    return cmocka_run_group_tests_name("number", tests, NULL, NULL);
}
