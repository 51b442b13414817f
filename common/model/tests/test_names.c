/* SPDX-License-Identifier: MIT */
#include "tests/support/unit.h"

#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "common/model/names.h"

static int name(enum name_kind kind, const char *text)
{
    return name_check(kind, span_text(text), NULL);
}

static void test_names(void **state)
{
    char longest[130];

    memset(longest, 'a', sizeof(longest));
    assert_int_equal(name(NAME_PROJECT, "demo"), 0);
    assert_int_equal(name(NAME_APP, "a-b.c_D9"), 0);
    assert_int_equal(name(NAME_CHANNEL, "9"), 0);
    assert_int_equal(name(NAME_VERSION, "1.2.3+g1f-rc_1"), 0);
    assert_int_equal(name(NAME_PROJECT, "Latest"), 0);
    assert_int_equal(name(NAME_PROJECT, "a+b"), -EINVAL);
    assert_int_equal(name(NAME_PROJECT, ""), -EINVAL);
    assert_int_equal(name(NAME_PROJECT, ".a"), -EINVAL);
    assert_int_equal(name(NAME_APP, "-a"), -EINVAL);
    assert_int_equal(name(NAME_APP, "_a"), -EINVAL);
    assert_int_equal(name(NAME_APP, "a/b"), -EINVAL);
    assert_int_equal(name(NAME_APP, "a b"), -EINVAL);
    assert_int_equal(name(NAME_APP, "a@b"), -EINVAL);
    assert_int_equal(name(NAME_APP, "\xc3\xa4"), -EINVAL);
    assert_int_equal(name(NAME_VERSION, "+a"), -EINVAL);
    assert_int_equal(name(NAME_HOST, "web-1.example_org"), 0);
    assert_int_equal(name(NAME_HOST, "latest"), 0);
    assert_int_equal(name(NAME_HOST, "-web"), -EINVAL);
    assert_int_equal(name(NAME_HOST, "web/1"), -EINVAL);
    assert_int_equal(name_check(NAME_HOST, span_of(longest, HOST_MAX_SIZE), NULL), 0);
    assert_int_equal(name_check(NAME_HOST, span_of(longest, HOST_MAX_SIZE + 1), NULL), -EINVAL);
    for (int kind = NAME_PROJECT; kind <= NAME_VERSION; kind++) {
        size_t max = kind == NAME_VERSION ? VERSION_MAX_SIZE : NAME_MAX_SIZE;
        assert_int_equal(name((enum name_kind)kind, "latest"), -EINVAL);
        assert_int_equal(name_check((enum name_kind)kind, span_of("a\0b", 3), NULL), -EINVAL);
        assert_int_equal(name_check((enum name_kind)kind, span_of(longest, max), NULL), 0);
        assert_int_equal(name_check((enum name_kind)kind, span_of(longest, max + 1), NULL),
                         -EINVAL);
    }
}

static int path(const char *text)
{
    struct error err = { 0 };
    int r = name_check_path(span_text(text), &err);

    assert_int_equal(err.code, r);
    return r;
}

static void test_paths(void **state)
{
    char longest[PATH_MAX_SIZE + 2];

    assert_int_equal(path("a"), 0);
    assert_int_equal(path("a/b/c"), 0);
    assert_int_equal(path("a/.kkartifact"), 0);
    assert_int_equal(path("..."), 0);
    assert_int_equal(path("a\\b:c\n\xff"), 0);
    assert_int_equal(path(".kkartifactx"), 0);
    assert_int_equal(path(""), -EINVAL);
    assert_int_equal(path("/a"), -EINVAL);
    assert_int_equal(path("a/"), -EINVAL);
    assert_int_equal(path("a//b"), -EINVAL);
    assert_int_equal(path("."), -EINVAL);
    assert_int_equal(path("a/.."), -EINVAL);
    assert_int_equal(path("../a"), -EINVAL);
    assert_int_equal(path(".kkartifact"), -EINVAL);
    assert_int_equal(path(".kkartifact/x"), -EINVAL);
    assert_int_equal(path(".kkartifact.yml"), -EINVAL);
    assert_int_equal(name_check_path(span_of("a\0b", 3), NULL), -EINVAL);
    for (size_t i = 0; i < sizeof(longest); i++)
        longest[i] = i % 200 == 199 ? '/' : 'a';
    assert_int_equal(name_check_path(span_of(longest, PATH_MAX_SIZE), NULL), 0);
    assert_int_equal(name_check_path(span_of(longest, PATH_MAX_SIZE + 1), NULL), -EINVAL);
    memset(longest, 'a', sizeof(longest));
    assert_int_equal(name_check_path(span_of(longest, 255), NULL), 0);
    assert_int_equal(name_check_path(span_of(longest, 256), NULL), -EINVAL);
    for (size_t i = 1; i < sizeof(longest); i += 2)
        longest[i] = '/';
    assert_int_equal(name_check_path(span_of(longest, 2 * 255 - 1), NULL), 0);
    assert_int_equal(name_check_path(span_of(longest, 2 * 256 - 1), NULL), -EINVAL);
}

static void test_component_and_target(void **state)
{
    char longest[TARGET_MAX_SIZE + 1];

    memset(longest, 'x', sizeof(longest));
    assert_int_equal(name_check_component(span_text("a"), NULL), 0);
    assert_int_equal(name_check_component(span_text("a/b"), NULL), -EINVAL);
    assert_int_equal(name_check_component(span_text(""), NULL), -EINVAL);
    assert_int_equal(name_check_component(span_text(".."), NULL), -EINVAL);
    assert_int_equal(name_check_target(span_text("/../x"), NULL), 0);
    assert_int_equal(name_check_target(span_text(""), NULL), -EINVAL);
    assert_int_equal(name_check_target(span_of("a\0", 2), NULL), -EINVAL);
    assert_int_equal(name_check_target(span_of(longest, TARGET_MAX_SIZE), NULL), 0);
    assert_int_equal(name_check_target(span_of(longest, TARGET_MAX_SIZE + 1), NULL), -EINVAL);
}

static void test_mode(void **state)
{
    static const char *const bad[] = { "", "755", "00755", "1755", "0778", "075 ", "-755", "0x1f" };
    char text[MODE_TEXT_SIZE];
    uint32_t mode = 7;

    assert_int_equal(name_parse_mode(span_text("0755"), &mode, NULL), 0);
    assert_int_equal(mode, 0755);
    assert_int_equal(name_parse_mode(span_text("0000"), &mode, NULL), 0);
    assert_int_equal(mode, 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(name_parse_mode(span_text(bad[i]), &mode, NULL), -EINVAL);
    assert_int_equal(mode, 0);
    name_format_mode(0644, text);
    assert_string_equal(text, "0644");
}

static void test_parent_and_base(void **state)
{
    assert_true(span_equal_text(name_parent(span_text("a/b/c")), "a/b"));
    assert_true(span_equal_text(name_base(span_text("a/b/c")), "c"));
    assert_true(span_equal_text(name_parent(span_text("a")), ""));
    assert_true(span_equal_text(name_base(span_text("a")), "a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_component_and_target),
        cmocka_unit_test(test_mode),
        cmocka_unit_test(test_parent_and_base),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
