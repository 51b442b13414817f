/* SPDX-License-Identifier: MIT */
#include "fs/reader/buffers.h"

#include <string.h>

#include "tests/support/unit.h"

static void blocks_of_every_size_can_be_written(void **state)
{
    static const size_t sizes[] = { 1, 4096, 65536, 65537, 131072, 1024 * 1024, 3 * 1024 * 1024 };
    struct buffers *buffers = buffers_new();

    assert_non_null(buffers);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        char *block = buffers_take(buffers, sizes[i]);
        assert_non_null(block);
        memset(block, 7, sizes[i]);
        buffers_give(buffers, block, sizes[i]);
    }
    buffers_give(buffers, NULL, 4096);
    buffers_free(buffers);
}

static void a_large_one_is_used_again(void **state)
{
    struct buffers *buffers = buffers_new();
    void *first = buffers_take(buffers, 128 * 1024), *second;

    buffers_give(buffers, first, 128 * 1024);
    second = buffers_take(buffers, 1024 * 1024);
    assert_ptr_equal(first, second);
    buffers_give(buffers, second, 1024 * 1024);
    buffers_free(buffers);
}

static void only_a_few_are_kept(void **state)
{
    struct buffers *buffers = buffers_new();
    void *blocks[BUFFERS_KEPT + 4];

    for (size_t i = 0; i < BUFFERS_KEPT + 4; i++)
        blocks[i] = buffers_take(buffers, BUFFERS_LARGE);
    for (size_t i = 0; i < BUFFERS_KEPT + 4; i++)
        buffers_give(buffers, blocks[i], BUFFERS_LARGE);
    assert_ptr_equal(buffers_take(buffers, BUFFERS_LARGE), blocks[BUFFERS_KEPT - 1]);
    buffers_give(buffers, blocks[BUFFERS_KEPT - 1], BUFFERS_LARGE);
    buffers_free(buffers);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_of_every_size_can_be_written),
        cmocka_unit_test(a_large_one_is_used_again),
        cmocka_unit_test(only_a_few_are_kept),
    };

    return cmocka_run_group_tests_name("buffers", tests, NULL, NULL);
}
