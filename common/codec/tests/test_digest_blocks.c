/* SPDX-License-Identifier: MIT */
#include "common/codec/digest_blocks.h"

#include <pthread.h>
#include <string.h>

#include "common/base/memory.h"
#include "tests/support/unit.h"

#define MOST_BLOCKS 300
#define LARGEST 4096

static void fill(uint8_t *bytes, size_t size, uint32_t seed)
{
    for (size_t i = 0; i < size; i++) {
        seed = seed * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(seed >> 24);
    }
}

/* Counts and sizes around the lanes of the processor and the blocks of SHA-256. */
static const size_t counts[] = { 0,  1,  2,  7,  8,  9,   15,  16,  17,
                                 31, 32, 33, 64, 65, 127, 128, 129, MOST_BLOCKS };
static const size_t sizes[] = { 1, 55, 56, 63, 64, 65, 119, 120, 512, 4095, LARGEST };

/* From the i-th byte, so that no alignment is taken for granted. */
static void check(const uint8_t *bytes, size_t size, size_t count, struct digest *out)
{
    memset(out, 0xa5, (MOST_BLOCKS + 1) * sizeof(*out));
    digest_blocks(bytes, size, count, out);
    for (size_t i = 0; i < count; i++) {
        struct digest single = digest_of(bytes + i * size, size);
        assert_memory_equal(out[i].bytes, single.bytes, DIGEST_SIZE);
    }
    for (size_t i = 0; i < DIGEST_SIZE; i++)
        assert_int_equal(out[count].bytes[i], 0xa5);
}

static void they_are_those_of_single_blocks(void **state)
{
    uint8_t *bytes = memory_resize(NULL, (size_t)MOST_BLOCKS * LARGEST + 16, 1);
    struct digest *out = memory_array(MOST_BLOCKS + 1, sizeof(*out));

    assert_non_null(bytes);
    assert_non_null(out);
    fill(bytes, (size_t)MOST_BLOCKS * LARGEST + 16, 1);
    for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
        for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
            check(bytes + (c + s) % 16, sizes[s], counts[c], out);
    }
    memory_free(out);
    memory_free(bytes);
}

#define THREADS 6

static void *hash_often(void *context)
{
    uint8_t *bytes = memory_resize(NULL, (size_t)128 * LARGEST, 1);
    struct digest *out = memory_array(MOST_BLOCKS + 1, sizeof(*out));
    bool right = bytes != NULL && out != NULL;

    if (right)
        fill(bytes, (size_t)128 * LARGEST, (uint32_t)(uintptr_t)context);
    for (int round = 0; right && round < 20; round++) {
        struct digest single = digest_of(bytes + (size_t)round * LARGEST, LARGEST);
        digest_blocks(bytes, LARGEST, 128, out);
        right = digest_equal(&single, &out[round]);
    }
    memory_free(out);
    memory_free(bytes);
    return right ? context : NULL;
}

/* More than there are idle managers, so that some are made and freed beside the others. */
static void threads_do_not_meet(void **state)
{
    pthread_t threads[THREADS];

    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hash_often, (void *)(i + 1)), 0);
    for (uintptr_t i = 0; i < THREADS; i++) {
        void *said;
        assert_int_equal(pthread_join(threads[i], &said), 0);
        assert_ptr_equal(said, (void *)(i + 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_those_of_single_blocks),
        cmocka_unit_test(threads_do_not_meet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
