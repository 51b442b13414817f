/* SPDX-License-Identifier: MIT */
#include "fs/ops/task.h"

#include <unistd.h>

#include "tests/support/unit.h"

static void a_pending_kill_is_seen(void **state)
{
    assert_true(
        task_status_is_killed(span_text("Name:\tx\nSigPnd:\t0000000000000100\nShdPnd:\t0\n")));
    assert_true(
        task_status_is_killed(span_text("SigPnd:\t0000000000000000\nShdPnd:\t0000000000002100\n")));
}

static void other_signals_are_not_a_kill(void **state)
{
    assert_false(
        task_status_is_killed(span_text("SigPnd:\t0000000000002000\nShdPnd:\t0000000000000000\n")));
    assert_false(task_status_is_killed(span_text("SigBlk:\t0000000000000100\n")));
    assert_false(task_status_is_killed(span_text("")));
    assert_false(task_status_is_killed(span_text("SigPnd")));
}

static void who_lives_is_not_killed(void **state)
{
    assert_false(task_is_killed((uint32_t)getpid()));
    assert_false(task_is_killed(0));
    assert_false(task_is_killed(UINT32_MAX));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pending_kill_is_seen),
        cmocka_unit_test(other_signals_are_not_a_kill),
        cmocka_unit_test(who_lives_is_not_killed),
    };

    return cmocka_run_group_tests_name("task", tests, NULL, NULL);
}
