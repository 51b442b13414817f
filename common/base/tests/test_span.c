/* SPDX-License-Identifier: MIT */
#include "common/base/span.h"

#include "tests/support/unit.h"

static void comparing(void **state)
{
    assert_true(span_equal(span_text("ab"), span_of("abc", 2)));
    assert_false(span_equal_text(span_text("ab"), "abc"));
    assert_true(span_equal(span_text(NULL), span_text("")));
    assert_true(span_compare(span_text("a"), span_text("ab")) < 0);
    assert_true(span_compare(span_text("\xff"), span_text("a")) > 0);
    assert_int_equal(span_compare(span_text("a"), span_text("a")), 0);
    assert_true(span_starts_with(span_text("abc"), span_text("ab")));
    assert_false(span_starts_with(span_text("a"), span_text("ab")));
}

static void slices_stay_inside(void **state)
{
    struct span text = span_text("hello");

    assert_true(span_equal_text(span_slice(text, 1, 3), "ell"));
    assert_true(span_equal_text(span_slice(text, 3, 99), "lo"));
    assert_int_equal(span_slice(text, 5, 1).size, 0);
    assert_int_equal(span_slice(text, 99, 1).size, 0);
}

static void cutting(void **state)
{
    struct span rest = span_text("a//b");
    struct span head;

    assert_true(span_cut(&rest, '/', &head));
    assert_true(span_equal_text(head, "a"));
    assert_true(span_cut(&rest, '/', &head));
    assert_true(span_equal_text(head, ""));
    assert_true(span_cut(&rest, '/', &head));
    assert_true(span_equal_text(head, "b"));
    head = span_text("left over");
    assert_false(span_cut(&rest, '/', &head));
    assert_int_equal(head.size, 0);
}

static void trimming(void **state)
{
    assert_true(span_equal_text(span_trim(span_text(" \ta b\r\n")), "a b"));
    assert_int_equal(span_trim(span_text(" \t ")).size, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparing),
        cmocka_unit_test(slices_stay_inside),
        cmocka_unit_test(cutting),
        cmocka_unit_test(trimming),
    };

    return cmocka_run_group_tests_name("span", tests, NULL, NULL);
}
