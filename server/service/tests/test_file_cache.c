/* SPDX-License-Identifier: MIT */
#include "server/service/file_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/file.h"
#include "server/service/scratch.h"

#define FILE_SIZE 1000

static char path[64];
static struct file_cache *cache;

static void open_cache(uint64_t size_max)
{
    assert_int_equal(file_cache_new(path, size_max, &cache, NULL), 0);
}

static int setup(void **state)
{
    snprintf(path, sizeof(path), "/tmp/kk-cache-XXXXXX");
    assert_non_null(mkdtemp(path));
    return 0;
}

static int teardown(void **state)
{
    struct directory *tmp;

    cache = file_cache_free(cache);
    assert_int_equal(directory_open("/tmp", &tmp, NULL), 0);
    assert_int_equal(directory_remove_all(tmp, path + 5, NULL), 0);
    directory_close(tmp);
    return 0;
}

static int put(const char *name, char byte, size_t size)
{
    cleanup_fd int fd = -1;
    char bytes[FILE_SIZE];

    memset(bytes, byte, sizeof(bytes));
    assert_true(size <= sizeof(bytes));
    assert_int_equal(scratch_file(NULL, &fd, NULL), 0);
    assert_int_equal(file_write_at(fd, 0, bytes, sizeof(bytes), NULL), 0);
    return file_cache_put(cache, name, fd, size, NULL);
}

/* The byte that it is made of, or a failure. */
static int get(const char *name, size_t size)
{
    cleanup_fd int fd = -1;
    char bytes[FILE_SIZE + 1];
    uint64_t told;
    size_t got;
    int r = file_cache_open(cache, name, &fd, &told, NULL);

    if (r < 0)
        return r;
    assert_int_equal(told, size);
    assert_int_equal(file_read_at(fd, 0, bytes, sizeof(bytes), &got, NULL), 0);
    assert_int_equal(got, size);
    for (size_t i = 1; i < got; i++)
        assert_int_equal(bytes[i], bytes[0]);
    return bytes[0];
}

static void test_kept_and_replaced(void **state)
{
    open_cache(10 * FILE_SIZE);
    assert_int_equal(get("a", FILE_SIZE), -ENOENT);
    assert_int_equal(put("a", 'x', FILE_SIZE), 0);
    assert_int_equal(get("a", FILE_SIZE), 'x');
    assert_int_equal(put("a", 'y', 10), 0);
    assert_int_equal(get("a", 10), 'y');
    assert_int_equal(file_cache_remove(cache, "a", NULL), 0);
    assert_int_equal(file_cache_remove(cache, "a", NULL), 0);
    assert_int_equal(get("a", 10), -ENOENT);
}

static void test_the_oldest_goes(void **state)
{
    open_cache(3 * FILE_SIZE);
    assert_int_equal(put("a", 'a', FILE_SIZE), 0);
    assert_int_equal(put("b", 'b', FILE_SIZE), 0);
    assert_int_equal(put("c", 'c', FILE_SIZE), 0);
    assert_int_equal(get("a", FILE_SIZE), 'a'); /* so that b is the oldest */
    assert_int_equal(put("d", 'd', FILE_SIZE), 0);
    assert_int_equal(get("b", FILE_SIZE), -ENOENT);
    assert_int_equal(get("a", FILE_SIZE), 'a');
    assert_int_equal(get("c", FILE_SIZE), 'c');
    assert_int_equal(get("d", FILE_SIZE), 'd');
    assert_int_equal(put("e", 'e', 1), 0); /* does not fit either: a goes */
    assert_int_equal(get("a", FILE_SIZE), -ENOENT);
    assert_int_equal(get("e", 1), 'e');
}

static void test_more_than_the_quota(void **state)
{
    open_cache(FILE_SIZE - 1);
    assert_int_equal(put("a", 'a', FILE_SIZE), -EFBIG);
    assert_int_equal(get("a", FILE_SIZE), -ENOENT);
    assert_int_equal(put("a", 'a', FILE_SIZE - 1), 0);
    assert_int_equal(get("a", FILE_SIZE - 1), 'a');
}

/* The next process finds what is whole, in its order, and none of what is not. */
static void test_outlives_the_process(void **state)
{
    char unfinished[80];

    open_cache(10 * FILE_SIZE);
    assert_int_equal(put("a", 'a', FILE_SIZE), 0);
    assert_int_equal(put("b", 'b', FILE_SIZE), 0);
    cache = file_cache_free(cache);
    snprintf(unfinished, sizeof(unfinished), "%s/a", path);
    const struct timespec times[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
    assert_int_equal(utimensat(AT_FDCWD, unfinished, times, 0), 0);
    snprintf(unfinished, sizeof(unfinished), "%s/New-7", path);
    assert_int_equal(close(open(unfinished, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
    open_cache(2 * FILE_SIZE);
    assert_int_equal(get("b", FILE_SIZE), 'b');
    assert_int_equal(access(unfinished, F_OK), -1);
    assert_int_equal(put("c", 'c', FILE_SIZE), 0);
    assert_int_equal(get("a", FILE_SIZE), -ENOENT);
    assert_int_equal(get("b", FILE_SIZE), 'b');
    /* A smaller quota. */
    cache = file_cache_free(cache);
    open_cache(FILE_SIZE);
    assert_int_equal(get("nothing", 0), -ENOENT);
    assert_int_equal((get("b", FILE_SIZE) == 'b') + (get("c", FILE_SIZE) == 'c'), 1);
}

/* Somebody has taken a file away by hand. */
static void test_a_file_that_is_gone(void **state)
{
    char name[80];

    open_cache(10 * FILE_SIZE);
    assert_int_equal(put("a", 'a', FILE_SIZE), 0);
    snprintf(name, sizeof(name), "%s/a", path);
    assert_int_equal(unlink(name), 0);
    assert_int_equal(get("a", FILE_SIZE), -ENOENT);
    assert_int_equal(put("a", 'b', FILE_SIZE), 0);
    assert_int_equal(get("a", FILE_SIZE), 'b');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kept_and_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_oldest_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_more_than_the_quota, setup, teardown),
        cmocka_unit_test_setup_teardown(test_outlives_the_process, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_that_is_gone, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
