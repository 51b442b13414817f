/* SPDX-License-Identifier: MIT */
#include "server/service/busy.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "common/base/error.h"
#include "tests/support/unit.h"

#define LONG_MS 60000 /* longer than any of these tests may take */

static struct span name(void)
{
    return span_text("blob");
}

/* One who comes for a part while somebody is at the one before it. */
struct waiter {
    struct busy *busy;
    uint64_t from, to;
    pthread_t thread;
    atomic_int result; /* 1: none yet */
};

static void *come(void *context)
{
    struct waiter *waiter = context;

    atomic_store(&waiter->result,
                 busy_take_part(waiter->busy, name(), waiter->from, waiter->to, NULL));
    return NULL;
}

static void start(struct waiter *waiter, struct busy *busy, uint64_t from, uint64_t to)
{
    waiter->busy = busy;
    waiter->from = from;
    waiter->to = to;
    atomic_store(&waiter->result, 1);
    assert_int_equal(pthread_create(&waiter->thread, NULL, come, waiter), 0);
}

/* Until the thread waits: a second one for the same part is told no at once from then on. */
static void until_it_waits(struct busy *busy, const struct waiter *waiter)
{
    while (busy_waiting(busy) == 0) {
        assert_int_equal(atomic_load(&waiter->result), 1);
        sched_yield();
    }
}

static int end(struct waiter *waiter)
{
    pthread_join(waiter->thread, NULL);
    return atomic_load(&waiter->result);
}

static void one_at_a_time(void **state)
{
    struct busy *busy;

    assert_int_equal(busy_new(1, LONG_MS, &busy, NULL), 0);
    assert_int_equal(busy_take(busy, name(), NULL), 0);
    assert_int_equal(busy_take(busy, name(), NULL), -EBUSY);
    assert_int_equal(busy_take(busy, span_text("another"), NULL), 0);
    busy_give(busy, span_text("another"));
    busy_give(busy, name());
    assert_int_equal(busy_take(busy, name(), NULL), 0);
    busy_give(busy, name());
    busy_free(busy);
}

static void the_next_part_waits(void **state)
{
    struct waiter waiter;
    struct busy *busy;

    assert_int_equal(busy_new(2, LONG_MS, &busy, NULL), 0);
    assert_int_equal(busy_take_part(busy, name(), 0, 10, NULL), 0);
    start(&waiter, busy, 10, 20);
    until_it_waits(busy, &waiter);
    assert_int_equal(busy_take_part(busy, name(), 10, 20, NULL), -EBUSY); /* one waits */
    assert_int_equal(busy_take(busy, name(), NULL), -EBUSY);
    busy_give(busy, name());
    assert_int_equal(end(&waiter), 0);
    assert_int_equal(busy_take_part(busy, name(), 10, 20, NULL), -EBUSY); /* it is at it now */
    busy_give(busy, name());
    busy_free(busy);
}

static void another_part_does_not(void **state)
{
    struct busy *busy;

    assert_int_equal(busy_new(2, LONG_MS, &busy, NULL), 0);
    assert_int_equal(busy_take_part(busy, name(), 5, 10, NULL), 0);
    assert_int_equal(busy_take_part(busy, name(), 0, 5, NULL), -EBUSY);
    assert_int_equal(busy_take_part(busy, name(), 5, 10, NULL), -EBUSY);
    assert_int_equal(busy_take_part(busy, name(), 11, 20, NULL), -EBUSY);
    busy_give(busy, name());
    assert_int_equal(busy_take(busy, name(), NULL), 0); /* no part: nothing begins behind it */
    assert_int_equal(busy_take_part(busy, name(), 0, 5, NULL), -EBUSY);
    busy_give(busy, name());
    busy_free(busy);
}

static void the_wait_has_an_end(void **state)
{
    struct busy *busy;

    assert_int_equal(busy_new(1, 1, &busy, NULL), 0);
    assert_int_equal(busy_take_part(busy, name(), 0, 10, NULL), 0);
    assert_int_equal(busy_take_part(busy, name(), 10, 20, NULL), -EBUSY);
    assert_int_equal(busy_take_part(busy, name(), 10, 20, NULL), -EBUSY); /* and may begin again */
    busy_give(busy, name());
    assert_int_equal(busy_take_part(busy, name(), 10, 20, NULL), 0);
    busy_give(busy, name());
    busy_free(busy);
}

static void not_too_many_wait(void **state)
{
    struct waiter waiter;
    struct busy *busy;

    assert_int_equal(busy_new(1, LONG_MS, &busy, NULL), 0);
    assert_int_equal(busy_take_part(busy, name(), 0, 10, NULL), 0);
    assert_int_equal(busy_take_part(busy, span_text("another"), 0, 10, NULL), 0);
    start(&waiter, busy, 10, 20);
    until_it_waits(busy, &waiter);
    assert_int_equal(busy_take_part(busy, span_text("another"), 10, 20, NULL), -EBUSY);
    busy_stop(busy);
    assert_int_equal(end(&waiter), -EBUSY);
    busy_give(busy, name());
    busy_give(busy, span_text("another"));
    busy_free(busy);
}

static int take_and_give(void)
{
    struct busy *busy;
    int r = busy_new(1, LONG_MS, &busy, NULL);

    if (r < 0)
        return r;
    r = busy_take(busy, name(), NULL);
    if (r == 0)
        busy_give(busy, name());
    busy_free(busy);
    return r;
}

static void no_memory(void **state)
{
    assert_survives_no_memory(take_and_give());
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_at_a_time),         cmocka_unit_test(the_next_part_waits),
        cmocka_unit_test(another_part_does_not), cmocka_unit_test(the_wait_has_an_end),
        cmocka_unit_test(not_too_many_wait),     cmocka_unit_test(no_memory),
    };

    return cmocka_run_group_tests_name("busy", tests, NULL, NULL);
}
