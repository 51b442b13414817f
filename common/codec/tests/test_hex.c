/* SPDX-License-Identifier: MIT */
#include "common/codec/hex.h"

#include <errno.h>

#include "tests/support/unit.h"

static void both_ways(void **state)
{
    uint8_t bytes[3] = { 0 };
    char text[7];

    assert_int_equal(hex_decode(span_text("00ff9a"), bytes), 0);
    assert_memory_equal(bytes, "\x00\xff\x9a", 3);
    hex_encode(bytes, 3, text);
    assert_string_equal(text, "00ff9a");
}

static void refused(void **state)
{
    uint8_t bytes[4];

    assert_int_equal(hex_decode(span_text("0"), bytes), -EINVAL);
    assert_int_equal(hex_decode(span_text("0G"), bytes), -EINVAL);
    assert_int_equal(hex_decode(span_text("AA"), bytes), -EINVAL);
    assert_int_equal(hex_decode(span_text("0 "), bytes), -EINVAL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways),
        cmocka_unit_test(refused),
    };

    return cmocka_run_group_tests_name("hex", tests, NULL, NULL);
}
