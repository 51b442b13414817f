/* SPDX-License-Identifier: MIT */
#include "server/http/page_cache.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "tests/support/unit.h"

static void written_pages_are_resident(void **state)
{
    char path[] = "/tmp/page_cache.XXXXXX";
    cleanup_fd int fd = mkstemp(path);
    static uint8_t bytes[256 * 1024];

    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
    assert_true(page_cache_has(fd, 0, sizeof(bytes)));
    assert_true(page_cache_has(fd, 5000, 1));
    assert_true(page_cache_has(fd, 0, 0));
}

/* What the file system lets us drop must be seen as gone; where it keeps the pages, as there. */
static void dropped_pages_are_not(void **state)
{
    char path[] = "page_cache.XXXXXX";
    cleanup_fd int fd = mkstemp(path);
    static uint8_t bytes[256 * 1024];

    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
    assert_int_equal(fsync(fd), 0);
    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    if (!page_cache_has(fd, 0, sizeof(bytes))) {
        assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
        assert_true(page_cache_has(fd, 0, sizeof(bytes)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_pages_are_resident),
        cmocka_unit_test(dropped_pages_are_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
