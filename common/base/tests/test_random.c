/* SPDX-License-Identifier: MIT */
#include "common/base/random.h"

#include <string.h>

#include "tests/support/unit.h"

static void bytes_differ_also_beyond_one_system_call(void **state)
{
    uint8_t a[1000] = { 0 }, b[1000] = { 0 };
    size_t zeros = 0;

    assert_int_equal(random_bytes(a, sizeof(a), NULL), 0);
    assert_int_equal(random_bytes(b, sizeof(b), NULL), 0);
    assert_int_not_equal(memcmp(a, b, sizeof(a)), 0);
    for (size_t i = 0; i < sizeof(a); i++)
        zeros += a[i] == 0;
    assert_true(zeros < 60); /* about 4 are expected */
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_differ_also_beyond_one_system_call),
    };

    return cmocka_run_group_tests_name("random", tests, NULL, NULL);
}
