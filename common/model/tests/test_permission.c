/* SPDX-License-Identifier: MIT */
#include "tests/support/unit.h"

#include <errno.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/model/permission.h"

static void test_parse(void **state)
{
    static const char *const bad[] = { "",     ",",         "pull,", ",pull",     "pull,pull",
                                       "read", "pull push", "PULL",  "pull,,push" };
    unsigned set = 99;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(permission_parse(span_text(bad[i]), &set, NULL), -EINVAL);
    assert_int_equal(set, 99);
    assert_int_equal(permission_parse(span_text("push,pull"), &set, NULL), 0);
    assert_int_equal(set, PERMISSION_PUSH | PERMISSION_PULL);
    assert_int_equal(permission_parse(span_text("admin"), &set, NULL), 0);
    assert_int_equal(set, PERMISSION_ADMIN);
}

static void test_format(void **state)
{
    cleanup(buf_release) struct buf out = buf_init(100);

    permission_format(PERMISSION_ALL, &out);
    assert_string_equal(buf_text(&out), "pull,push,promote,admin");
    buf_clear(&out);
    permission_format(PERMISSION_PUSH, &out);
    assert_string_equal(buf_text(&out), "push");
    assert_string_equal(permission_name(PERMISSION_PROMOTE), "promote");
    assert_null(permission_name((enum permission)3));
}

static void test_allows(void **state)
{
    assert_true(permission_allows(PERMISSION_PULL, PERMISSION_PULL));
    assert_false(permission_allows(PERMISSION_PULL, PERMISSION_PUSH));
    assert_true(permission_allows(PERMISSION_ADMIN, PERMISSION_PROMOTE));
    assert_false(permission_allows(7, PERMISSION_ADMIN));
    assert_false(permission_allows(0, PERMISSION_PULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_allows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
