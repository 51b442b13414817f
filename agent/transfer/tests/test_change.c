/* SPDX-License-Identifier: MIT */
#include "agent/transfer/change.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "tests/support/unit.h"

static int make(struct change_list *list)
{
    change_list_release(list);
    *list = change_list_init();
    change_list_add(list, CHANGE_REMOVED, 0, false, span_text("z"));
    change_list_add(list, CHANGE_CHANGED, CHANGE_CONTENT | CHANGE_MODE, false, span_text("a/b"));
    change_list_add(list, CHANGE_ADDED, 0, false, span_text("a-b"));
    change_list_add(list, CHANGE_CHANGED, CHANGE_TYPE, false, span_text("zz"));
    change_list_add(list, CHANGE_CHANGED, CHANGE_TIME, true, span_text("a"));
    return change_list_end(list, NULL);
}

static void order_and_letters(void **state)
{
    static const struct {
        const char *path;
        char letter;
    } expected[] = { { "a", 'P' }, { "a/b", 'M' }, { "a-b", 'A' }, { "z", 'D' }, { "zz", 'T' } };
    cleanup(change_list_release) struct change_list list = change_list_init();

    assert_survives_no_memory(make(&list));
    assert_int_equal(change_list_count(&list), 5);
    for (size_t i = 0; i < 5; i++) {
        struct change change = change_list_at(&list, i);
        assert_true(span_equal_text(change.path, expected[i].path));
        assert_int_equal(change_letter(&change), expected[i].letter);
        assert_int_equal(change.is_directory, i == 0);
    }
}

static void nothing_differs(void **state)
{
    cleanup(change_list_release) struct change_list list = change_list_init();

    assert_int_equal(change_list_end(&list, NULL), 0);
    assert_int_equal(change_list_count(&list), 0);
}

static void names_of_what(void **state)
{
    unsigned what = CHANGE_MODE | CHANGE_CONTENT;

    assert_string_equal(change_name(CHANGE_ADDED), "added");
    assert_string_equal(change_next_name(&what), "content");
    assert_string_equal(change_next_name(&what), "mode");
    assert_null(change_next_name(&what));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_and_letters),
        cmocka_unit_test(nothing_differs),
        cmocka_unit_test(names_of_what),
    };

    return cmocka_run_group_tests_name("change", tests, NULL, NULL);
}
