/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "server/service/scratch.h"

static void check_block(const char *directory, uint64_t size)
{
    struct scratch scratch;

    assert_int_equal(scratch_map(directory, size, &scratch, NULL), 0);
    assert_int_equal(scratch.size, size);
    assert_int_equal(scratch.bytes[0], 0);
    assert_int_equal(scratch.bytes[size - 1], 0);
    memset(scratch.bytes, 0xab, size);
    scratch_release(&scratch);
    assert_null(scratch.bytes);
    scratch_release(&scratch);
}

static void test_blocks(void **state)
{
    struct scratch scratch = { (uint8_t *)1, 1 };

    assert_int_equal(scratch_map("/tmp", 0, &scratch, NULL), 0);
    assert_null(scratch.bytes);
    scratch_release(&scratch);
    check_block(NULL, 1);
    check_block(NULL, 3 * SCRATCH_SMALL + 7);
    check_block("/tmp", 5);
    check_block("/tmp", 3 * SCRATCH_SMALL + 7);
}

static void test_file_has_no_name(void **state)
{
    cleanup_fd int fd = -1;
    char byte = 'x';

    assert_int_equal(scratch_file("/tmp", &fd, NULL), 0);
    assert_int_equal(write(fd, &byte, 1), 1);
    assert_int_equal(scratch_file("/tmp/no/such/place", &fd, NULL), -ENOENT);
}

static void test_says_no(void **state)
{
    struct scratch scratch = { NULL, 77 };
    struct error err = { 0 };

    assert_int_equal(scratch_map("/no/such/place", 4 * SCRATCH_SMALL, &scratch, &err), -ENOENT);
    assert_int_equal(err.code, -ENOENT);
    /* More than any disk has: refused now, not by a signal later. */
    assert_true(scratch_map("/tmp", 1ull << 60, &scratch, &err) < 0);
    assert_int_equal(scratch_map(NULL, UINT64_MAX, &scratch, &err), -EFBIG);
    assert_int_equal(scratch.size, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_file_has_no_name),
        cmocka_unit_test(test_says_no),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
