/* SPDX-License-Identifier: MIT */
#include "common/client/lease_pace.h"

#include "tests/support/unit.h"

#define HOUR_MS ((uint64_t)3600 * 1000)

static void it_is_said_before_the_server_wants_to_hear_it(void **state)
{
    static const uint32_t randoms[] = { 0, 1, 719999, 720000, 720001, 123456789, UINT32_MAX };
    struct lease_pace pace = { .again_ms = 5000 };

    for (size_t i = 0; i < sizeof(randoms) / sizeof(randoms[0]); i++) {
        lease_pace_said(&pace, 3600, 1000, randoms[i]);
        assert_in_range(pace.due_ms, 1000 + HOUR_MS * 4 / 5, 1000 + HOUR_MS);
    }
    lease_pace_said(&pace, 3600, 1000, 0);
    assert_int_equal(pace.due_ms, 1000 + HOUR_MS);
    lease_pace_said(&pace, 0, 1000, 0); /* nothing was said: an hour */
    assert_int_equal(pace.due_ms, 1000 + HOUR_MS);
    lease_pace_said(&pace, 1, 0, UINT32_MAX);
    assert_in_range(pace.due_ms, 800, 1000);
}

static void pauses_double_up_to_a_renewal(void **state)
{
    struct lease_pace pace = { .again_ms = 5000 };
    uint64_t expected = 5000;

    for (unsigned i = 0; i < 1000; i++) {
        lease_pace_failed(&pace, 0, 0, UINT32_MAX);
        assert_int_equal(pace.due_ms, expected);
        expected = expected * 2 < HOUR_MS ? expected * 2 : HOUR_MS;
    }
    lease_pace_failed(&pace, 0, 0, 0); /* the other end of the jitter */
    assert_int_equal(pace.due_ms, HOUR_MS / 2);
    lease_pace_said(&pace, 60, 0, 0);
    assert_int_equal(pace.failures, 0);
    for (unsigned i = 0; i < 100; i++)
        lease_pace_failed(&pace, 0, 0, UINT32_MAX);
    assert_int_equal(pace.due_ms, 60000);
    lease_pace_said(&pace, 2, 0, 0); /* renewals more frequent than the first pause */
    lease_pace_failed(&pace, 0, 0, UINT32_MAX);
    assert_int_equal(pace.due_ms, 2000);
}

static void what_the_server_asks_for_is_waited(void **state)
{
    struct lease_pace pace = { .again_ms = 5000 };

    lease_pace_failed(&pace, 30000, 7, 0);
    assert_int_equal(pace.due_ms, 30007);
    lease_pace_failed(&pace, (uint64_t)86400 * 1000, 7, 0);
    assert_int_equal(pace.due_ms, (uint64_t)86400 * 1000 + 7);
    lease_pace_failed(&pace, 1, 7, UINT32_MAX); /* less than the pause would be */
    assert_int_equal(pace.due_ms, 20007);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_said_before_the_server_wants_to_hear_it),
        cmocka_unit_test(pauses_double_up_to_a_renewal),
        cmocka_unit_test(what_the_server_asks_for_is_waited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
