/* SPDX-License-Identifier: MIT */
#include "common/codec/xxh3.h"

#include "common/codec/hex.h"
#include "tests/support/unit.h"

static void assert_hash(const void *bytes, size_t size, const char *hex)
{
    uint8_t hash[XXH3_SIZE];
    char text[2 * XXH3_SIZE + 1];

    xxh3_of(bytes, size, hash);
    hex_encode(hash, XXH3_SIZE, text);
    assert_string_equal(text, hex);
}

/* The halves as they are written: low first, each little-endian. */
static void known_hashes(void **state)
{
    uint8_t bytes[20 * 256];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    assert_hash("", 0, "7f498d4624c30160d8984701d306aa99");
    assert_hash("hello", 5, "1838525eaacf79c77f3e1b07adc1e9b5");
    assert_hash(bytes, sizeof(bytes), "80df992efaf275f8f45c059acc83cf87");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_hashes),
    };

    return cmocka_run_group_tests_name("xxh3", tests, NULL, NULL);
}
