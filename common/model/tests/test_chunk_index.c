/* SPDX-License-Identifier: MIT */
#include "common/model/chunk_index.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/model/tests/sample_bytes.h"
#include "tests/support/unit.h"

#define RECORD 20

static void test_all_are_found(void **state)
{
    static const size_t counts[] = { 0, 1, 15, 16, 17, 5000 };

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        cleanup(buf_release) struct buf records = sample_bytes(counts[i] * RECORD, i);
        cleanup(buf_release) struct buf others = sample_bytes(100 * RECORD, 77);
        struct chunk_index index;
        uint32_t number;
        assert_int_equal(chunk_index_init(&index, buf_span(&records), RECORD, NULL), 0);
        for (uint32_t n = 0; n < counts[i]; n++) {
            assert_true(chunk_index_find(&index, records.bytes + n * RECORD, &number));
            assert_int_equal(number, n);
        }
        for (uint32_t n = 0; n < 100; n++)
            assert_false(chunk_index_find(&index, others.bytes + n * RECORD, &number));
        chunk_index_release(&index);
        assert_false(chunk_index_find(&index, others.bytes, &number));
    }
}

static void test_the_first_of_equal_ones(void **state)
{
    cleanup(buf_release) struct buf records = sample_bytes(RECORD, 1);
    struct chunk_index index;
    uint32_t number = 9;

    buf_add_zeros(&records, 100 * RECORD);
    assert_int_equal(chunk_index_init(&index, buf_span(&records), RECORD, NULL), 0);
    assert_true(chunk_index_find(&index, records.bytes + 50 * RECORD, &number));
    assert_int_equal(number, 1);
    chunk_index_release(&index);
}

static int make(struct span records)
{
    struct chunk_index index;
    int r = chunk_index_init(&index, records, RECORD, NULL);

    if (r == 0)
        chunk_index_release(&index);
    return r;
}

static void test_no_memory(void **state)
{
    cleanup(buf_release) struct buf records = sample_bytes(100 * RECORD, 1);

    assert_survives_no_memory(make(buf_span(&records)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_are_found),
        cmocka_unit_test(test_the_first_of_equal_ones),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
