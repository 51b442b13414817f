/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pattern.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "tests/support/unit.h"

static struct pattern_list list_of(const char *const *items)
{
    struct pattern_list list = pattern_list_init();

    for (; *items != NULL; items++)
        assert_int_equal(pattern_list_add(&list, *items, NULL), 0);
    return list;
}

#define LIST(...) list_of((const char *const[]){ __VA_ARGS__, NULL })

static bool covers(const struct pattern_list *list, const char *path, bool is_directory)
{
    return pattern_list_covers(list, span_text(path), is_directory);
}

static void the_last_item_decides(void **state)
{
    cleanup(pattern_list_release) struct pattern_list list = LIST("*.o", "!keep.o", "/top", "dir/");

    assert_true(covers(&list, "a/b/x.o", false));
    assert_false(covers(&list, "a/keep.o", false));
    assert_int_equal(pattern_list_judge(&list, span_text("a/keep.o"), false), PATTERN_TAKES_BACK);
    assert_int_equal(pattern_list_judge(&list, span_text("x"), false), PATTERN_SILENT);
    assert_true(covers(&list, "top", false));
    assert_false(covers(&list, "a/top", false));
    assert_true(covers(&list, "a/dir", true));
    assert_false(covers(&list, "a/dir", false));
    assert_true(covers(&list, "a/dir/keep.o", false)); /* nothing comes back below what is named */
}

static void lines_that_say_nothing(void **state)
{
    cleanup(pattern_list_release) struct pattern_list list = LIST("", "# x", "   ", "/", "!", "!/");

    assert_int_equal(list.count, 0);
}

static void blanks_and_escapes(void **state)
{
    cleanup(pattern_list_release) struct pattern_list list = LIST("a  ", "b\\ ", "\\#c", "\\!d");

    assert_true(covers(&list, "a", false));
    assert_true(covers(&list, "b ", false));
    assert_false(covers(&list, "b", false));
    assert_true(covers(&list, "#c", false));
    assert_true(covers(&list, "!d", false));
}

static int add_two(void)
{
    cleanup(pattern_list_release) struct pattern_list list = pattern_list_init();
    int r = pattern_list_add(&list, "a", NULL);

    return r < 0 ? r : pattern_list_add(&list, "b", NULL);
}

static void no_memory(void **state)
{
    assert_survives_no_memory(add_two());
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_item_decides),
        cmocka_unit_test(lines_that_say_nothing),
        cmocka_unit_test(blanks_and_escapes),
        cmocka_unit_test(no_memory),
    };

    return cmocka_run_group_tests_name("pattern", tests, NULL, NULL);
}
