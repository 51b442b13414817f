/* SPDX-License-Identifier: MIT */
#include "common/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "tests/support/unit.h"

static void descriptors_close_at_the_end_of_the_scope(void **state)
{
    int number;
    {
        cleanup_fd int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        number = fd;
        assert_true(fd >= 0);
    }
    assert_int_equal(fcntl(number, F_GETFD), -1);
    assert_int_equal(errno, EBADF);
}

static void taking_hands_over(void **state)
{
    char *kept;
    int number;
    {
        cleanup_memory char *text = memory_text("kept");
        cleanup_fd int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        kept = take_pointer(&text);
        number = take_fd(&fd);
        assert_null(text);
        assert_int_equal(fd, -1);
    }
    assert_string_equal(kept, "kept");
    assert_int_not_equal(fcntl(number, F_GETFD), -1);
    memory_free(kept);
    close(number);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptors_close_at_the_end_of_the_scope),
        cmocka_unit_test(taking_hands_over),
    };

    return cmocka_run_group_tests_name("cleanup", tests, NULL, NULL);
}
