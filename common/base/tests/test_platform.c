/* SPDX-License-Identifier: MIT */
#include "common/base/platform.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/unit.h"

static void *blocked_signals(void *context)
{
    sigset_t set;

    pthread_sigmask(SIG_SETMASK, NULL, &set);
    *(int *)context = sigismember(&set, SIGTERM);
    return NULL;
}

static void threads_block_signals_and_leave_the_starter_alone(void **state)
{
    pthread_t thread;
    int blocked = 0;
    sigset_t set;

    assert_int_equal(platform_thread_start(&thread, blocked_signals, &blocked), 0);
    pthread_join(thread, NULL);
    assert_int_equal(blocked, 1);
    pthread_sigmask(SIG_SETMASK, NULL, &set);
    assert_int_equal(sigismember(&set, SIGTERM), 0);
}

static void facts(void **state)
{
    char name[8];

    assert_true(platform_cpu_count() >= 1);
    assert_true(platform_terminal_columns(-1) == 80);
    assert_false(platform_is_terminal(-1));
    memset(name, 'x', sizeof(name));
    platform_host_name(name, sizeof(name));
    assert_true(strlen(name) > 0 && strlen(name) < sizeof(name));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_block_signals_and_leave_the_starter_alone),
        cmocka_unit_test(facts),
    };

    return cmocka_run_group_tests_name("platform", tests, NULL, NULL);
}
