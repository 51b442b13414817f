/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/memory.h"
#include "server/service/scratch.h"
#include "server/service/spool.h"

static void check(const char *directory, size_t size, size_t piece)
{
    cleanup_memory uint8_t *bytes = memory_new(size + 1);
    struct spool spool;
    struct span all;

    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    spool_init(&spool, directory);
    for (size_t at = 0; at < size; at += piece)
        assert_int_equal(spool_add(&spool, span_slice(span_of(bytes, size), at, piece), NULL), 0);
    assert_int_equal(spool.size, size);
    assert_true(size <= SCRATCH_SMALL || directory == NULL || spool.fd >= 0);
    assert_int_equal(spool_bytes(&spool, &all, NULL), 0);
    assert_int_equal(all.size, size);
    if (size > 0)
        assert_memory_equal(all.bytes, bytes, size);
    assert_int_equal(spool_bytes(&spool, &all, NULL), 0);
    spool_release(&spool);
    spool_release(&spool);
}

static void test_keeps_everything(void **state)
{
    check(NULL, 0, 1);
    check("/tmp", 0, 1);
    check("/tmp", 1000, 7);
    check(NULL, 3 * SCRATCH_SMALL + 5, 65536);
    check("/tmp", SCRATCH_SMALL, 4096);
    check("/tmp", 3 * SCRATCH_SMALL + 5, 65536);
}

static void test_says_no(void **state)
{
    cleanup_memory uint8_t *bytes = memory_new(2 * SCRATCH_SMALL);
    struct spool spool;

    spool_init(&spool, "/no/such/place");
    assert_int_equal(spool_add(&spool, span_of(bytes, 10), NULL), 0);
    assert_int_equal(spool_add(&spool, span_of(bytes, 2 * SCRATCH_SMALL), NULL), -ENOENT);
    spool_release(&spool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeps_everything),
        cmocka_unit_test(test_says_no),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
