/* SPDX-License-Identifier: MIT */
#include "common/base/bytes.h"

#include "tests/support/unit.h"

static void integers_are_little_endian_at_any_address(void **state)
{
    uint8_t bytes[16] = { 0 };

    bytes_set_u16(bytes + 1, 0x0102);
    assert_memory_equal(bytes, "\0\2\1\0", 4);
    assert_int_equal(bytes_u16(bytes + 1), 0x0102);
    bytes_set_u32(bytes + 3, 0x01020304);
    assert_memory_equal(bytes + 3, "\4\3\2\1", 4);
    assert_int_equal(bytes_u32(bytes + 3), 0x01020304);
    bytes_set_u64(bytes + 5, 0xf102030405060708);
    assert_memory_equal(bytes + 5, "\x8\7\6\5\4\3\2\xf1", 8);
    assert_true(bytes_u64(bytes + 5) == 0xf102030405060708);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_little_endian_at_any_address),
    };

    return cmocka_run_group_tests_name("bytes", tests, NULL, NULL);
}
