/* SPDX-License-Identifier: MIT */
#include "common/base/error.h"

#include <errno.h>
#include <string.h>

#include "tests/support/unit.h"

static void set_keeps_code_and_text(void **state)
{
    struct error err = { 0 };

    assert_int_equal(error_set(&err, -ENOENT, "no artifact \"%s\"", "x"), -ENOENT);
    assert_int_equal(err.code, -ENOENT);
    assert_string_equal(err.text, "no artifact \"x\"");
}

static void null_is_fine(void **state)
{
    assert_int_equal(error_set(NULL, -EIO, "x"), -EIO);
    assert_int_equal(error_system(NULL, EIO, "x"), -EIO);
    assert_int_equal(error_prefix(NULL, -EIO, "x"), -EIO);
}

static void prefix_goes_in_front(void **state)
{
    struct error err = { 0 };

    error_set(&err, -EIO, "disk %d", 3);
    assert_int_equal(error_prefix(&err, err.code, "version %s", "v1"), -EIO);
    assert_string_equal(err.text, "version v1: disk 3");
}

static void system_adds_the_words(void **state)
{
    struct error err = { 0 };

    assert_int_equal(error_system(&err, ENOSPC, "blob %s", "b"), -ENOSPC);
    assert_string_equal(err.text, "blob b: No space left on device");
}

static void long_texts_are_cut_and_terminated(void **state)
{
    char text[2 * ERROR_TEXT_SIZE];
    struct error err = { 0 };

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    error_set(&err, -EINVAL, "%s", text);
    assert_int_equal(strlen(err.text), ERROR_TEXT_SIZE - 1);
    error_prefix(&err, -EINVAL, "a");
    assert_memory_equal(err.text, "a: xxx", 6);
    assert_int_equal(strlen(err.text), ERROR_TEXT_SIZE - 1);
}

static void control_bytes_of_strangers_do_not_pass(void **state)
{
    struct error err = { 0 };

    error_set(&err, -EINVAL, "name \"%s\"", "a\nb\x1b[0m");
    assert_string_equal(err.text, "name \"a?b?[0m\"");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_keeps_code_and_text),
        cmocka_unit_test(null_is_fine),
        cmocka_unit_test(prefix_goes_in_front),
        cmocka_unit_test(system_adds_the_words),
        cmocka_unit_test(long_texts_are_cut_and_terminated),
        cmocka_unit_test(control_bytes_of_strangers_do_not_pass),
    };

    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
