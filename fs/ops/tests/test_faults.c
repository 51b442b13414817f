/* SPDX-License-Identifier: MIT */
#include "fs/ops/faults.h"

#include <errno.h>
#include <string.h>

#include "tests/support/unit.h"

static void a_cause_is_logged_once_a_minute(void **state)
{
    struct faults *faults = faults_new();
    struct error away = { -EAGAIN, "not reached" }, other = { -ETIMEDOUT, "no answer in time" };

    assert_true(faults_note(faults, &away, "", 1000));
    assert_false(faults_note(faults, &away, "", 1001));
    assert_true(faults_note(faults, &other, "", 1002));
    assert_false(faults_note(faults, &away, "", 1003));
    assert_true(faults_note(faults, &away, "", 1000 + FAULTS_SILENCE_MS));
    faults_free(faults);
}

static void many_causes_do_not_pile_up(void **state)
{
    struct faults *faults = faults_new();
    struct error err = { -EIO, "cause A" };

    for (int round = 0; round < 3; round++)
        for (char c = 'A'; c <= 'Z'; c++) {
            err.text[6] = c;
            faults_note(faults, &err, "", 5);
        }
    faults_free(faults);
}

static void the_last_one_is_told_and_answers_are_none(void **state)
{
    struct faults *faults = faults_new();
    struct error bad = { -EBADMSG, "bytes are wrong" }, gone = { -ENOENT, "no such version" };
    char text[ERROR_TEXT_SIZE];

    faults_last(faults, text);
    assert_string_equal(text, "");
    assert_true(faults_note(faults, &bad, "p/a/v1/file", 1));
    assert_false(faults_note(faults, &bad, "p/a/v1/other", 1)); /* the same cause */
    assert_false(faults_note(faults, &gone, "", 2));
    assert_false(faults_note(faults, NULL, "", 2));
    faults_last(faults, text);
    assert_string_equal(text, "p/a/v1/other: bytes are wrong");
    assert_int_equal(faults_integrity(faults), 2);
    faults_free(faults);
}

static void programs_see_few_codes(void **state)
{
    assert_int_equal(faults_errno(-ENOENT), ENOENT);
    assert_int_equal(faults_errno(-EPERM), EACCES);
    assert_int_equal(faults_errno(-EACCES), EACCES);
    assert_int_equal(faults_errno(-ETIMEDOUT), EIO);
    assert_int_equal(faults_errno(-EAGAIN), EIO);
    assert_int_equal(faults_errno(-EBADMSG), EBADMSG);
    assert_int_equal(faults_errno(-ENOTSUP), EIO);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cause_is_logged_once_a_minute),
        cmocka_unit_test(many_causes_do_not_pile_up),
        cmocka_unit_test(the_last_one_is_told_and_answers_are_none),
        cmocka_unit_test(programs_see_few_codes),
    };

    return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
