/* SPDX-License-Identifier: MIT */
#include "fs/usage/version_names.h"

#include <string.h>

#include "tests/support/unit.h"

static void names_are_checked(void **state)
{
    struct version_names names;
    char version[VERSION_MAX_SIZE + 2];

    assert_true(version_names_set(&names, "p", "a", "1.0+x"));
    assert_string_equal(names.project, "p");
    assert_string_equal(names.app, "a");
    assert_string_equal(names.version, "1.0+x");
    assert_false(version_names_set(&names, NULL, "a", "1"));
    assert_false(version_names_set(&names, "p", "..", "1"));
    assert_false(version_names_set(&names, "p", "a", "latest"));
    assert_false(version_names_set(&names, "p", "a", "a/b"));
    memset(version, 'v', sizeof(version));
    version[VERSION_MAX_SIZE + 1] = '\0';
    assert_false(version_names_set(&names, "p", "a", version));
    version[VERSION_MAX_SIZE] = '\0';
    assert_true(version_names_set(&names, "p", "a", version));
}

static void keys_differ_where_names_do(void **state)
{
    struct version_names one, other;
    char room[2][VERSION_KEY_SIZE];

    assert_true(version_names_set(&one, "ab", "c", "1"));
    assert_true(version_names_set(&other, "a", "bc", "1"));
    assert_false(span_equal(version_names_key(&one, room[0]), version_names_key(&other, room[1])));
    assert_true(version_names_set(&other, "ab", "c", "1"));
    assert_true(span_equal(version_names_key(&one, room[0]), version_names_key(&other, room[1])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(keys_differ_where_names_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
