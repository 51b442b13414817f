/* SPDX-License-Identifier: MIT */
#include "common/net/http_loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/support/unit.h"

static struct http_loop *new_loop(void)
{
    struct http_loop *loop = NULL;

    assert_int_equal(http_loop_new(&loop, NULL, NULL), 0);
    return loop;
}

struct order {
    struct http_loop *loop;
    int calls[64];
    size_t count;
    _Atomic int posted;
};
struct step {
    struct order *order;
    int number;
};

static void note(void *context)
{
    struct step *step = context;

    step->order->calls[step->order->count++] = step->number;
}

static void timers_come_in_order(void **state)
{
    struct order order = { .loop = new_loop() };
    struct step steps[32];
    struct http_timer timers[32];
    uint64_t now = clock_monotonic_ms();

    for (int i = 0; i < 32; i++) {
        steps[i] = (struct step){ &order, (i * 11) % 32 };
        timers[i] = (struct http_timer){ .function = note, .context = &steps[i] };
        assert_int_equal(http_timer_set(order.loop, &timers[i], now + (uint64_t)steps[i].number),
                         0);
    }
    http_timer_clear(order.loop, &timers[3]);
    http_timer_clear(order.loop, &timers[3]);
    assert_int_equal(http_timer_set(order.loop, &timers[5], now + 60), 0); /* moved to the end */
    while (order.count < 31)
        assert_int_equal(http_loop_run_once(order.loop, 1000, NULL), 0);
    for (size_t i = 1; i < 30; i++)
        assert_true(order.calls[i - 1] < order.calls[i]);
    assert_int_equal(order.calls[30], steps[5].number);
    http_loop_free(order.loop);
}

static void count_post(void *context)
{
    struct order *order = context;

    assert_true(http_loop_is_mine(order->loop));
    atomic_fetch_add(&order->posted, 1);
}

static void *post_many(void *context)
{
    struct order *order = context;

    assert_false(http_loop_is_mine(order->loop));
    for (int i = 0; i < 1000; i++)
        assert_int_equal(http_loop_post(order->loop, count_post, order), 0);
    return NULL;
}

static void posts_come_from_any_thread(void **state)
{
    struct order order = { .loop = new_loop() };
    pthread_t threads[3];

    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, &order), 0);
    while (atomic_load(&order.posted) < 3000)
        assert_int_equal(http_loop_run_once(order.loop, 10000, NULL), 0);
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    http_loop_free(order.loop);
}

static void posts_keep_their_order_and_run_at_the_end(void **state)
{
    struct order order = { .loop = new_loop() };
    struct step steps[8];
    struct http_post posts[8];

    for (int i = 0; i < 8; i++) {
        steps[i] = (struct step){ &order, i };
        posts[i] = (struct http_post){ .function = note, .context = &steps[i] };
        http_loop_post_at(order.loop, &posts[i]);
    }
    http_loop_free(order.loop);
    assert_int_equal(order.count, 8);
    for (int i = 0; i < 8; i++)
        assert_int_equal(order.calls[i], i);
}

static void *wake(void *context)
{
    http_loop_wake(context);
    return NULL;
}

/* Whether it comes before the wait, at its begin or in it: often enough to be each. */
static void wake_ends_a_wait(void **state)
{
    struct http_loop *loop = new_loop();
    pthread_t thread;

    for (int i = 0; i < 200; i++) {
        uint64_t start = clock_monotonic_ms();

        assert_int_equal(pthread_create(&thread, NULL, wake, loop), 0);
        assert_int_equal(http_loop_run_once(loop, 10000, NULL), 0);
        assert_true(clock_monotonic_ms() - start < 5000);
        pthread_join(thread, NULL);
    }
    http_loop_free(loop);
}

struct pipe_watch {
    struct http_loop *loop;
    struct http_watch watch;
    int fds[2];
    int calls;
};

static void take_byte(void *context)
{
    struct pipe_watch *pipe_watch = context;
    char byte;

    assert_int_equal(read(pipe_watch->fds[0], &byte, 1), 1);
    pipe_watch->calls++;
    if (pipe_watch->calls == 2)
        http_watch_remove(pipe_watch->loop, &pipe_watch->watch);
}

static void descriptors_are_watched(void **state)
{
    struct pipe_watch a = { .loop = new_loop() };

    assert_int_equal(pipe(a.fds), 0);
    a.watch = (struct http_watch){ .function = take_byte, .context = &a, .fd = a.fds[0] };
    http_watch_add(a.loop, &a.watch);
    assert_int_equal(http_loop_run_once(a.loop, 0, NULL), 0);
    assert_int_equal(a.calls, 0);
    assert_int_equal(write(a.fds[1], "abc", 3), 3);
    for (int i = 0; i < 5; i++)
        assert_int_equal(http_loop_run_once(a.loop, 10, NULL), 0);
    assert_int_equal(a.calls, 2);
    close(a.fds[0]);
    close(a.fds[1]);
    http_loop_free(a.loop);
}

static bool never(void *context)
{
    return false;
}

static void run_until_has_a_deadline(void **state)
{
    struct http_loop *loop = new_loop();

    assert_int_equal(http_loop_run_until(loop, never, NULL, clock_monotonic_ms() + 30, NULL),
                     -ETIMEDOUT);
    http_loop_free(loop);
}

static int make_one(void)
{
    struct http_loop *loop = NULL;
    struct http_timer timer = { .function = note };
    int r = http_loop_new(&loop, NULL, NULL);

    if (r == 0)
        r = http_timer_set(loop, &timer, 1);
    if (r == 0)
        http_timer_clear(loop, &timer);
    http_loop_free(loop);
    return r;
}

static void no_memory_is_an_error(void **state)
{
    assert_survives_no_memory(make_one());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_come_in_order),
        cmocka_unit_test(posts_come_from_any_thread),
        cmocka_unit_test(posts_keep_their_order_and_run_at_the_end),
        cmocka_unit_test(wake_ends_a_wait),
        cmocka_unit_test(descriptors_are_watched),
        cmocka_unit_test(run_until_has_a_deadline),
        cmocka_unit_test(no_memory_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
