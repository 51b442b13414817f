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

/* One page that is gone is read again; a file that is gone is not. */
static void a_hole_is_filled(void **state)
{
    char path[] = "page_cache.XXXXXX";
    cleanup_fd int fd = mkstemp(path);
    static uint8_t bytes[256 * 1024];

    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
    assert_true(page_cache_fill(fd, 77, 0));
    if (!page_cache_fill(fd, 0, sizeof(bytes)))
        return; /* Linux before 6.5 does not count pages, and nothing is filled */
    assert_int_equal(fsync(fd), 0);
    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    if (page_cache_has(fd, 0, 4096))
        return; /* a file system that keeps its pages, such as tmpfs */
    assert_false(page_cache_fill(fd, 0, sizeof(bytes)));
    assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
    assert_int_equal(posix_fadvise(fd, 8 * 4096, 4096, POSIX_FADV_DONTNEED), 0);
    assert_true(page_cache_fill(fd, 0, sizeof(bytes)));
    assert_true(page_cache_has(fd, 0, sizeof(bytes)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_pages_are_resident),
        cmocka_unit_test(dropped_pages_are_not),
        cmocka_unit_test(a_hole_is_filled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
