/* SPDX-License-Identifier: MIT */
#include "common/base/workers.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "tests/support/unit.h"

static void count(void *context)
{
    atomic_fetch_add((_Atomic int *)context, 1);
}

static void all_work_is_done_before_drain_returns(void **state)
{
    struct workers *workers;
    _Atomic int done = 0;

    assert_int_equal(workers_new(&workers, 3, 4, NULL), 0);
    for (int i = 0; i < 1000; i++)
        workers_submit(workers, count, &done);
    workers_drain(workers);
    assert_int_equal(done, 1000);
    assert_null(workers_free(workers));
}

static void wait_for_gate(void *context)
{
    pthread_mutex_t *gate = context;

    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
}

static void a_full_queue_says_so(void **state)
{
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    struct workers *workers;
    _Atomic int done = 0;
    int accepted = 0;

    assert_int_equal(workers_new(&workers, 1, 2, NULL), 0);
    pthread_mutex_lock(&gate);
    workers_submit(workers, wait_for_gate, &gate);
    while (workers_waiting(workers) > 0)
        sched_yield(); /* the one thread takes it, and is held at the gate */
    while (workers_try(workers, count, &done) == 0)
        accepted++;
    assert_int_equal(accepted, 2);
    assert_int_equal(workers_waiting(workers), 2);
    pthread_mutex_unlock(&gate);
    workers_drain(workers);
    assert_int_equal(workers_waiting(workers), 0);
    workers_free(workers);
    assert_int_equal(done, accepted);
}

static void free_finishes_what_is_queued(void **state)
{
    struct workers *workers;
    _Atomic int done = 0;

    assert_int_equal(workers_new(&workers, 1, 100, NULL), 0);
    for (int i = 0; i < 100; i++)
        workers_submit(workers, count, &done);
    workers_free(workers);
    assert_int_equal(done, 100);
}

static int make(void)
{
    struct workers *workers = NULL;
    int r = workers_new(&workers, 1, 1, NULL);

    workers_free(workers);
    return r;
}

static void survives_no_memory(void **state)
{
    assert_survives_no_memory(make());
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_work_is_done_before_drain_returns),
        cmocka_unit_test(a_full_queue_says_so),
        cmocka_unit_test(free_finishes_what_is_queued),
        cmocka_unit_test(survives_no_memory),
    };

    return cmocka_run_group_tests_name("workers", tests, NULL, NULL);
}
