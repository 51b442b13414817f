/* SPDX-License-Identifier: MIT */
#include "common/model/gear.h"

#include <string.h>

#include "common/base/bytes.h"
#include "common/codec/digest.h"
#include "common/model/gear_table.h"
#include "tests/support/unit.h"

static void test_table(void **state)
{
    for (int b = 0; b < 256; b++) {
        uint8_t said[18] = "kkartifact-gear-1";
        struct digest digest;
        said[17] = (uint8_t)b;
        digest = digest_of(said, sizeof(said));
        assert_int_equal(gear_table[b], bytes_u64(digest.bytes));
    }
}

/* As the header says it, a byte at a time. */
static size_t plain_cut(const uint8_t *bytes, size_t n)
{
    uint64_t h = 0;

    if (n <= 4096)
        return n;
    for (size_t i = 4096; i < n && i < 65536; i++) {
        h = (h << 1) + gear_table[bytes[i]];
        if ((h & (i < 16384 ? 0xFFFF000000000000 : 0xFFF0000000000000)) == 0)
            return i + 1;
    }
    return n < 65536 ? n : 65536;
}

#define BYTES_SIZE 4000003

static uint8_t *random_bytes_of(size_t size, uint64_t seed)
{
    uint8_t *bytes = memory_new(size);

    assert_non_null(bytes);
    for (size_t i = 0; i < size; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (uint8_t)(seed >> 56);
    }
    return bytes;
}

static void test_equals_definition(void **state)
{
    uint8_t *bytes = random_bytes_of(BYTES_SIZE, 1);
    size_t small = 0, large = 0;

    for (size_t at = 0; at < BYTES_SIZE;) {
        size_t cut = gear_cut(bytes + at, BYTES_SIZE - at);
        assert_int_equal(cut, plain_cut(bytes + at, BYTES_SIZE - at));
        if (BYTES_SIZE - at > GEAR_MAX_SIZE)
            assert_int_equal(cut, gear_cut(bytes + at, GEAR_MAX_SIZE));
        small += cut <= GEAR_NORMAL_SIZE;
        large += cut > GEAR_NORMAL_SIZE;
        at += cut;
    }
    assert_true(small > 10 && large > 10);
    memory_free(bytes);
}

static void test_ends(void **state)
{
    static const size_t sizes[] = { 0,     1,     4095,  4096,  4097,  4098,  4099,
                                    16383, 16384, 16385, 65535, 65536, 65537, 100000 };
    uint8_t *bytes = random_bytes_of(100000, 2);

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        assert_int_equal(gear_cut(bytes, sizes[i]), plain_cut(bytes, sizes[i]));
    memset(bytes, 0, 100000);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        assert_int_equal(gear_cut(bytes, sizes[i]), plain_cut(bytes, sizes[i]));
    memory_free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_equals_definition),
        cmocka_unit_test(test_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
