/* SPDX-License-Identifier: MIT */
#include "server/http/etag.h"

#include "tests/support/unit.h"

static void none_match(void **state)
{
    assert_false(etag_none_match(NULL, "\"a\""));
    assert_true(etag_none_match("\"a\"", "\"a\""));
    assert_true(etag_none_match("W/\"a\"", "\"a\""));
    assert_true(etag_none_match("\"x\" , \"a,b\",\"a\"", "\"a\""));
    assert_true(etag_none_match("\"x\", \"a,b\"", "\"a,b\""));
    assert_true(etag_none_match("*", "\"a\""));
    assert_false(etag_none_match("a", "\"a\""));
    assert_false(etag_none_match("\"A\"", "\"a\""));
    assert_false(etag_none_match("\"a", "\"a\""));
    assert_false(etag_none_match("", "\"a\""));
    assert_false(etag_none_match("W/", "\"a\""));
}

static void match(void **state)
{
    assert_true(etag_match(NULL, "\"a\""));
    assert_true(etag_match("\"b\",\"a\"", "\"a\""));
    assert_true(etag_match("*", "\"a\""));
    assert_false(etag_match("*", NULL));
    assert_false(etag_match("W/\"a\"", "\"a\""));
    assert_false(etag_match("\"b\"", "\"a\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_match),
        cmocka_unit_test(match),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
