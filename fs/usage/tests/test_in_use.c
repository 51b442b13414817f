/* SPDX-License-Identifier: MIT */
#include "fs/usage/in_use.h"

#include <errno.h>

#include "tests/support/unit.h"

static void one_version_has_all_its_reasons(void **state)
{
    struct in_use set = { 0 };

    in_use_sort(&set);
    assert_int_equal(set.count, 0);
    in_use_add(&set, "p", "b", "1", IN_USE_PINNED);
    in_use_add(&set, "p", "a", "2", IN_USE_RECENT);
    in_use_add(&set, "p", "b", "1", IN_USE_OPEN);
    in_use_add(&set, "p", "b", "1", IN_USE_OPEN);
    in_use_add(&set, "p", "a/b", "1", IN_USE_OPEN); /* no name */
    in_use_add(&set, "p", "a", "1", IN_USE_RECENT);
    in_use_sort(&set);
    assert_int_equal(set.count, 3);
    assert_string_equal(set.items[0].names.app, "a");
    assert_string_equal(set.items[0].names.version, "1");
    assert_string_equal(set.items[1].names.version, "2");
    assert_int_equal(set.items[1].reasons, IN_USE_RECENT);
    assert_string_equal(set.items[2].names.app, "b");
    assert_int_equal(set.items[2].reasons, IN_USE_PINNED | IN_USE_OPEN);
    assert_false(set.has_failed);
    in_use_release(&set);
    assert_int_equal(set.count, 0);
}

static void words_stand_in_the_order_of_the_bits(void **state)
{
    assert_string_equal(in_use_words[0], "attached");
    assert_string_equal(in_use_words[4], "recent");
    assert_int_equal(1 << 4, IN_USE_RECENT);
    assert_null(in_use_words[5]);
}

static int fill(void)
{
    struct in_use set = { 0 };
    bool has_failed;

    for (int i = 0; i < 100; i++)
        in_use_add(&set, "p", "a", "1", IN_USE_OPEN);
    has_failed = set.has_failed;
    in_use_sort(&set);
    in_use_release(&set);
    return has_failed ? -ENOMEM : 0;
}

static void lack_of_memory_is_told(void **state)
{
    assert_survives_no_memory(fill());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_version_has_all_its_reasons),
        cmocka_unit_test(words_stand_in_the_order_of_the_bits),
        cmocka_unit_test(lack_of_memory_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
