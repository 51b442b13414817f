/* SPDX-License-Identifier: MIT */
#include "tests/support/unit.h"

#include <errno.h>

#include "common/base/error.h"
#include "common/model/bitmap.h"

static void test_bits(void **state)
{
    uint8_t bytes[3] = { 0 };
    struct span span = span_of(bytes, sizeof(bytes));

    bitmap_set(bytes, 0);
    bitmap_set(bytes, 9);
    bitmap_set(bytes, 17);
    assert_int_equal(bytes[0], 1);
    assert_int_equal(bytes[1], 2);
    assert_int_equal(bytes[2], 2);
    assert_true(bitmap_get(bytes, 9));
    assert_false(bitmap_get(bytes, 8));
    assert_int_equal(bitmap_count(span), 3);
    assert_int_equal(bitmap_next(span, 18, 0), 0);
    assert_int_equal(bitmap_next(span, 18, 1), 9);
    assert_int_equal(bitmap_next(span, 18, 10), 17);
    assert_int_equal(bitmap_next(span, 18, 18), 18);
    bitmap_clear(bytes, 17);
    assert_int_equal(bitmap_next(span, 18, 10), 18);
}

static void test_check(void **state)
{
    uint8_t bytes[2] = { 0xff, 0x03 };
    struct error err = { 0 };

    assert_int_equal(bitmap_size(0), 0);
    assert_int_equal(bitmap_size(8), 1);
    assert_int_equal(bitmap_size(9), 2);
    assert_int_equal(bitmap_check(span_of(bytes, 2), 10, &err), 0);
    assert_int_equal(bitmap_check(span_of(bytes, 2), 16, &err), 0);
    assert_int_equal(bitmap_check(span_of(bytes, 2), 9, &err), -EBADMSG);
    assert_int_equal(bitmap_check(span_of(bytes, 2), 17, &err), -EBADMSG);
    assert_int_equal(bitmap_check(span_of(bytes, 1), 10, &err), -EBADMSG);
    assert_int_equal(bitmap_check(span_of(bytes, 0), 0, &err), 0);
    assert_int_equal(bitmap_check(span_of(bytes, 1), 8, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits),
        cmocka_unit_test(test_check),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
