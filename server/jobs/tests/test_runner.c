/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "server/db/events.h"
#include "server/jobs/runner.h"
#include "server/service/leases.h"
#include "server/service/tests/fault_store.h"
#include "server/service/tests/world.h"

static struct world world;

static int setup(void **state)
{
    log_setup(LOG_ERROR, LOG_TEXT); /* a step that fails on purpose is not to be heard */
    world_open(&world, WORLD_FILE);
    return 0;
}

static int teardown(void **state)
{
    world_close(&world);
    return 0;
}

static size_t numbered(void)
{
    struct event *events;
    size_t count;

    assert_int_equal(event_list(world.database, 0, 1000, &events, &count, NULL), 0);
    event_list_free(events, count);
    return count;
}

static void push(uint32_t seed)
{
    struct sample sample;
    enum pushes_outcome outcome;

    sample_make(&sample, seed, 1, 10);
    assert_int_equal(sample_push(&world, &world.caller, "p", "a", NULL, &sample, &outcome, NULL,
                                 NULL, NULL),
                     0);
    sample_release(&sample);
}

static void test_every_step_once(void **state)
{
    struct sample sample;
    struct push_info open;

    push(1);
    sample_make(&sample, 2, 1, 10);
    sample_open(&world, &world.caller, "p", "a", NULL, &sample, &open);
    world_sleep(7 * 3600);
    assert_int_equal(runner_run_once(world.services, NULL), 0);
    assert_true(numbered() > 0);
    assert_true(pushes_get(world.services, &world.caller, "p", "a", open.id, &open, NULL, NULL) <
                0);
    sample_release(&sample);
}

static void test_expired_leases_go(void **state)
{
    const struct lease_said said = { .project = "p",
                                     .app = "a",
                                     .version = "leased",
                                     .place = "/srv",
                                     .mode = "pull",
                                     .state = "complete" };
    const struct leases_request request = { .host = "web1", .items = &said, .count = 1 };
    enum pushes_outcome outcome;
    int64_t expires_at_s;
    struct sample sample;
    size_t count = 0;

    sample_make(&sample, 5, 1, 10);
    assert_int_equal(sample_push(&world, &world.caller, "p", "a", "leased", &sample, &outcome, NULL,
                                 NULL, NULL),
                     0);
    sample_release(&sample);
    assert_int_equal(leases_put(world.services, &world.caller, &request, &expires_at_s, NULL, NULL),
                     0);
    world_sleep(expires_at_s - world_now());
    assert_int_equal(runner_run_once(world.services, NULL), 0);
    assert_int_equal(leases_expire(world.services, &count, NULL), 0);
    assert_int_equal(count, 0); /* the step left none */
}

/* One step that fails does not keep the others from running. */
static void test_a_failing_step(void **state)
{
    size_t before = numbered();

    push(3);
    fault_store_fail(world.store, 0, -5, 1);
    assert_int_equal(runner_run_once(world.services, NULL), -5);
    fault_store_heal(world.store);
    assert_true(numbered() > before);
    assert_int_equal(runner_run_once(world.services, NULL), 0);
}

static void test_the_thread_works_and_stops_at_once(void **state)
{
    struct runner *runner;
    size_t before = numbered();
    uint64_t start, stopped;

    assert_int_equal(runner_start(world.services, &runner, NULL), 0);
    push(4); /* wakes the runner by itself */
    start = clock_monotonic_ms();
    while (numbered() == before && clock_monotonic_ms() - start < 20000)
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    assert_true(numbered() > before);
    stopped = clock_monotonic_ms();
    assert_null(runner_stop(runner));
    assert_true(clock_monotonic_ms() - stopped < 5000);
    assert_null(runner_stop(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_step_once),
        cmocka_unit_test(test_expired_leases_go),
        cmocka_unit_test(test_a_failing_step),
        cmocka_unit_test(test_the_thread_works_and_stops_at_once),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
