/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/model/problem.h"
#include "server/service/refusal.h"

/* Every code is one of the API's problems. */
static void test_every_code_has_its_problem(void **state)
{
    assert_null(refusal_name(REFUSAL_NONE));
    for (int code = REFUSAL_NONE + 1; code <= REFUSAL_STORAGE; code++) {
        const char *name = refusal_name((enum refusal_code)code);

        assert_non_null(name);
        if (problem_by_code(span_text(name)) == NULL)
            print_error("no problem \"%s\"\n", name);
        assert_non_null(problem_by_code(span_text(name)));
    }
    assert_null(refusal_name((enum refusal_code)(REFUSAL_STORAGE + 1)));
}

static void test_sets(void **state)
{
    struct refusal why = { 0 };

    assert_int_equal(refusal_set(&why, REFUSAL_FULL, -ENOSPC), -ENOSPC);
    assert_int_equal(why.code, REFUSAL_FULL);
    assert_int_equal(refusal_at(&why, "/version", -EINVAL), -EINVAL);
    assert_int_equal(why.code, REFUSAL_VALIDATION);
    assert_string_equal(why.pointer, "/version");
    assert_int_equal(refusal_set(NULL, REFUSAL_FULL, -ENOSPC), -ENOSPC);
    assert_int_equal(refusal_at(NULL, "/version", -EINVAL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_has_its_problem),
        cmocka_unit_test(test_sets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
