/* SPDX-License-Identifier: MIT */
#include "fs/main/exit_code.h"

#include <errno.h>

#include "tests/support/unit.h"

static void each_has_its_own(void **state)
{
    assert_int_equal(exit_code_of(EXIT_OF_SERVER, 0), 0);
    assert_int_equal(exit_code_of(EXIT_OF_WORDS, -EINVAL), 2);
    assert_int_equal(exit_code_of(EXIT_OF_WORDS, -ENOENT), 2);
    assert_int_equal(exit_code_of(EXIT_OF_SERVER, -EPERM), 4);
    assert_int_equal(exit_code_of(EXIT_OF_SERVER, -EACCES), 4);
    assert_int_equal(exit_code_of(EXIT_OF_SERVER, -ENOENT), 5);
    assert_int_equal(exit_code_of(EXIT_OF_SERVER, -EAGAIN), 7);
    assert_int_equal(exit_code_of(EXIT_OF_SERVER, -ETIMEDOUT), 7);
    assert_int_equal(exit_code_of(EXIT_OF_SERVER, -EBADMSG), 8);
    assert_int_equal(exit_code_of(EXIT_OF_LOCAL, -EACCES), 9);
    assert_int_equal(exit_code_of(EXIT_OF_LOCAL, -ENOENT), 9);
    assert_int_equal(exit_code_of(EXIT_OF_LOCAL, -ENOMEM), 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(each_has_its_own) };

    return cmocka_run_group_tests_name("exit_code", tests, NULL, NULL);
}
