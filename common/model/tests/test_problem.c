/* SPDX-License-Identifier: MIT */
#include "tests/support/unit.h"

#include <errno.h>
#include <string.h>

#include "common/model/problem.h"

static void test_table_is_sound(void **state)
{
    for (const struct problem *a = problem_table(); a->code != NULL; a++) {
        assert_in_range(a->status, 400, 599);
        assert_true(a->error < 0);
        assert_true(strlen(a->title) > 0);
        assert_ptr_equal(problem_by_code(span_text(a->code)), a);
        for (const struct problem *b = problem_table(); b < a; b++)
            assert_string_not_equal(a->code, b->code);
    }
    assert_null(problem_by_code(span_text("nonsense")));
}

static void test_exit_codes_of_the_contract(void **state)
{
    for (const struct problem *at = problem_table(); at->code != NULL; at++) {
        if (at->status == 401 || at->status == 403)
            assert_int_equal(at->exit_code, 4);
        if (at->status == 404 || at->status == 410)
            assert_int_equal(at->exit_code, 5);
        if (at->status == 409 || at->status == 412)
            assert_int_equal(at->exit_code, 6);
        if (at->status >= 500)
            assert_int_equal(at->exit_code, 7);
    }
}

static void assert_answer(int error, const char *code)
{
    assert_string_equal(problem_by_error(error)->code, code);
}

static void test_by_error(void **state)
{
    assert_answer(-ENOENT, "not-found");
    assert_answer(-EINVAL, "validation");
    assert_answer(-EACCES, "insufficient-scope");
    assert_answer(-EPERM, "unauthenticated");
    assert_answer(-EEXIST, "version-exists");
    assert_answer(-ESTALE, "purged");
    assert_answer(-EBADMSG, "digest-mismatch");
    assert_answer(-EFBIG, "too-large");
    assert_answer(-ENOSPC, "full");
    assert_answer(-EAGAIN, "not-ready");
    assert_answer(-ENOMEM, "internal");
    assert_answer(-EIO, "internal");
}

static void test_by_status(void **state)
{
    assert_string_equal(problem_by_status(404)->code, "not-found");
    assert_string_equal(problem_by_status(401)->code, "unauthenticated");
    assert_string_equal(problem_by_status(418)->code, "malformed-json");
    assert_string_equal(problem_by_status(504)->code, "internal");
}

static void test_exit_of_errors(void **state)
{
    assert_int_equal(problem_exit_code(0), 0);
    assert_int_equal(problem_exit_code(-EACCES), 4);
    assert_int_equal(problem_exit_code(-ENOENT), 5);
    assert_int_equal(problem_exit_code(-EEXIST), 6);
    assert_int_equal(problem_exit_code(-EAGAIN), 7);
    assert_int_equal(problem_exit_code(-EBADMSG), 8);
    assert_int_equal(problem_exit_code(-ENOSPC), 9);
    assert_int_equal(problem_exit_code(-ECANCELED), 130);
    assert_int_equal(problem_exit_code(-ENOMEM), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_is_sound), cmocka_unit_test(test_exit_codes_of_the_contract),
        cmocka_unit_test(test_by_error),       cmocka_unit_test(test_by_status),
        cmocka_unit_test(test_exit_of_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
