/* SPDX-License-Identifier: MIT */
#include "agent/transfer/likeness.h"

#include <string.h>

#include "tests/support/unit.h"
#include "common/model/names.h"

static bool are_alike(const char *a, const char *b)
{
    return likeness_name(span_text(a)) == likeness_name(span_text(b));
}

static void numbers_do_not_count(void **state)
{
    static const char *const alike[][2] = {
        { "app-1.9.jar", "app-1.10.jar" },
        { "app-1.9.jar", "app-1.9.1.jar" },
        { "libx.so.1", "libx.so.2.0.7" },
        { "main.8d2f1c.js", "main.07ab3e.js" },
        { "a/b/core", "core" },
        { "one/1", "two/22" },
        { "x.2", "x.3" },
    };
    static const char *const others[][2] = {
        { "app-1.9.jar", "api-1.9.jar" },
        { "app-1.9.jar", "app.jar" },
        { "main.js", "main.7.js" },
        { "face", "fade" },
        { "core", "core/core.c" },
        { "", "a" },
        { "1.a", "1a" },
        { "A1", "B1" },
    };

    for (size_t i = 0; i < sizeof(alike) / sizeof(alike[0]); i++)
        if (!are_alike(alike[i][0], alike[i][1]))
            fail_msg("%s and %s are not alike", alike[i][0], alike[i][1]);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (are_alike(others[i][0], others[i][1]))
            fail_msg("%s and %s are alike", others[i][0], others[i][1]);
}

static void long_names_are_names(void **state)
{
    char name[COMPONENT_MAX_SIZE + 1], other[COMPONENT_MAX_SIZE + 1];

    memset(name, 'x', sizeof(name));
    name[COMPONENT_MAX_SIZE] = '\0';
    memcpy(other, name, sizeof(other));
    assert_true(are_alike(name, other));
    other[COMPONENT_MAX_SIZE - 1] = 'y';
    assert_false(are_alike(name, other));
    memset(name, '1', sizeof(name) - 1);
    assert_true(are_alike(name, "2"));
}

static void check(const char *a, const char *b, uint32_t expected)
{
    assert_int_equal(likeness_of(span_text(a), span_text(b)), expected);
    assert_int_equal(likeness_of(span_text(b), span_text(a)), expected);
}

static void directories_count_at_both_ends(void **state)
{
    check("lib.so", "lib.so", LIKENESS_SAME_NAME);
    check("lib.so.1", "lib.so.2", 0);
    check("one", "sub/one", LIKENESS_SAME_NAME);
    check("app-1.0/a/lib.so", "app-1.1/a/lib.so", LIKENESS_SAME_NAME + 2);
    check("app-1.0/b/lib.so", "app-1.1/a/lib.so", LIKENESS_SAME_NAME);
    check("app/a/lib.so", "app/b/lib.so", LIKENESS_SAME_NAME + 1);
    check("a/b/c/1", "a/b/c/2", 9);
    check("x/b/c/1", "b/c/2", 4);
    check("ab/x", "b/x", LIKENESS_SAME_NAME);
    check("", "", LIKENESS_SAME_NAME);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_do_not_count),
        cmocka_unit_test(long_names_are_names),
        cmocka_unit_test(directories_count_at_both_ends),
    };

    return cmocka_run_group_tests_name("likeness", tests, NULL, NULL);
}
