/* SPDX-License-Identifier: MIT */
#include "server/service/side_task.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/platform.h"
#include "common/base/workers.h"

struct work {
    pthread_t thread; /* that did it */
    int count;
    int result;
};

static int do_work(void *context, struct error *err)
{
    struct work *work = context;

    work->thread = pthread_self();
    work->count++;
    return work->result < 0 ? error_set(err, work->result, "the work failed") : 0;
}

static void test_on_another_thread(void **state)
{
    struct workers *workers;
    struct side_task task;
    struct work work = { .result = 0 };

    assert_int_equal(workers_new(&workers, 1, 1, NULL), 0);
    side_task_init(&task, workers);
    for (int i = 1; i <= 100; i++) {
        side_task_start(&task, do_work, &work);
        assert_int_equal(side_task_wait(&task, NULL), 0);
        assert_int_equal(work.count, i);
        assert_false(pthread_equal(work.thread, pthread_self()));
    }
    side_task_release(&task);
    workers_free(workers);
}

static void test_without_threads_the_caller_does_it(void **state)
{
    struct side_task task;
    struct work work = { .result = 0 };

    side_task_init(&task, NULL);
    assert_int_equal(side_task_wait(&task, NULL), 0); /* nothing was started */
    side_task_start(&task, do_work, &work);
    assert_int_equal(work.count, 1);
    assert_true(pthread_equal(work.thread, pthread_self()));
    assert_int_equal(side_task_wait(&task, NULL), 0);
    side_task_release(&task);
}

/* Holds the one thread until it is let go. */
struct hold {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool began, may_end;
};

static void hold_thread(void *context)
{
    struct hold *hold = context;

    pthread_mutex_lock(&hold->lock);
    hold->began = true;
    pthread_cond_signal(&hold->changed);
    while (!hold->may_end)
        pthread_cond_wait(&hold->changed, &hold->lock);
    pthread_mutex_unlock(&hold->lock);
}

static void test_full_queue(void **state)
{
    struct hold hold = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false };
    struct side_task waiting, refused;
    struct work first = { .result = 0 }, second = { .result = 0 };
    struct workers *workers;

    assert_int_equal(workers_new(&workers, 1, 1, NULL), 0);
    side_task_init(&waiting, workers);
    side_task_init(&refused, workers);
    assert_int_equal(workers_try(workers, hold_thread, &hold), 0);
    pthread_mutex_lock(&hold.lock);
    while (!hold.began)
        pthread_cond_wait(&hold.changed, &hold.lock);
    pthread_mutex_unlock(&hold.lock);
    side_task_start(&waiting, do_work, &first); /* in the queue, which is full now */
    side_task_start(&refused, do_work, &second);
    assert_int_equal(second.count, 1);
    assert_true(pthread_equal(second.thread, pthread_self()));
    assert_int_equal(side_task_wait(&refused, NULL), 0);
    pthread_mutex_lock(&hold.lock);
    hold.may_end = true;
    pthread_cond_signal(&hold.changed);
    pthread_mutex_unlock(&hold.lock);
    assert_int_equal(side_task_wait(&waiting, NULL), 0);
    assert_int_equal(first.count, 1);
    assert_false(pthread_equal(first.thread, pthread_self()));
    side_task_release(&waiting);
    side_task_release(&refused);
    workers_free(workers);
}

/* Told once, with its words; the next one begins anew. */
static void test_failure(void **state)
{
    struct workers *workers;
    struct side_task task;
    struct work work = { .result = -ENOSPC };
    struct error err = { 0 };

    assert_int_equal(workers_new(&workers, 1, 1, NULL), 0);
    side_task_init(&task, workers);
    side_task_start(&task, do_work, &work);
    assert_int_equal(side_task_wait(&task, &err), -ENOSPC);
    assert_int_equal(err.code, -ENOSPC);
    assert_string_equal(err.text, "the work failed");
    assert_int_equal(side_task_wait(&task, NULL), 0);
    work.result = 0;
    side_task_start(&task, do_work, &work);
    assert_int_equal(side_task_wait(&task, NULL), 0);
    assert_int_equal(work.count, 2);
    side_task_release(&task);
    workers_free(workers);
}

static void test_threads(void **state)
{
    struct workers *workers;
    struct side_task task;
    struct work work = { .result = 0 };

    assert_int_equal(side_task_workers_new(&workers, NULL), 0);
    assert_int_equal(workers == NULL, platform_cpu_count() <= 1);
    side_task_init(&task, workers);
    side_task_start(&task, do_work, &work);
    assert_int_equal(side_task_wait(&task, NULL), 0);
    assert_int_equal(work.count, 1);
    assert_int_equal(pthread_equal(work.thread, pthread_self()) != 0, workers == NULL);
    side_task_release(&task);
    workers_free(workers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_on_another_thread),
        cmocka_unit_test(test_without_threads_the_caller_does_it),
        cmocka_unit_test(test_full_queue),
        cmocka_unit_test(test_failure),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests_name("side_task", tests, NULL, NULL);
}
