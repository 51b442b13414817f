/* SPDX-License-Identifier: MIT */
#include "agent/transfer/wildcard.h"

#include <string.h>

#include "common/base/clock.h"
#include "tests/support/unit.h"

static const struct {
    const char *pattern, *text;
    bool matches;
} cases[] = {
    { "", "", true },
    { "", "a", false },
    { "abc", "abc", true },
    { "abc", "abd", false },
    { "a?c", "abc", true },
    { "a?c", "a/c", false },
    { "*", "abc", true },
    { "*", "a/b", false },
    { "a*", "a", true },
    { "a*/b", "ax/b", true },
    { "a*/b", "ax/y/b", false },
    { "**", "a/b/c", true },
    { "**/b", "b", true },
    { "**/b", "x/y/b", true },
    { "a/**", "a/b/c", true },
    { "a/**", "a", false },
    { "a/**/b", "a/b", true },
    { "a/**/b", "a/x/y/b", true },
    { "a/**/b", "ab", false },
    { "a**b", "axyb", true },
    { "a**b", "ax/yb", false },
    { "**/a/**/b", "x/a/y/z/b", true },
    { "[abc]", "b", true },
    { "[!abc]", "b", false },
    { "[^abc]", "d", true },
    { "[!a]", "/", false },
    { "[a-c]x", "bx", true },
    { "[b-a]", "b", true },
    { "[b-a]", "a", false },
    { "[]-a]", "]", true },
    { "[\\]]", "]", true },
    { "[[:digit:]]", "7", true },
    { "[[:digit:]]", "x", false },
    { "[[:nope:]]", "x", false },
    { "[a", "a", false },
    { "\\*", "*", true },
    { "\\*", "a", false },
    { "a\\", "a", false },
    { "\xff*", "\xff\xfe", true },
};

static void each_rule(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool matches = wildcard_matches(span_text(cases[i].pattern), span_text(cases[i].text));
        if (matches != cases[i].matches)
            fail_msg("%s against %s gives %d", cases[i].pattern, cases[i].text, matches);
    }
}

static void many_stars_take_no_eternity(void **state)
{
    char text[4000];
    uint64_t began = clock_monotonic_ms();

    memset(text, 'a', sizeof(text));
    assert_false(
        wildcard_matches(span_text("a*a*a*a*a*a*a*a*a*a*a*a*a*a*b"), span_of(text, sizeof(text))));
    assert_true(clock_monotonic_ms() - began < 10000);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule),
        cmocka_unit_test(many_stars_take_no_eternity),
    };

    return cmocka_run_group_tests_name("wildcard", tests, NULL, NULL);
}
