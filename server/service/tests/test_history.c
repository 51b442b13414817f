/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "server/db/audit.h"
#include "server/db/events.h"
#include "server/service/event_sequence.h"
#include "server/service/history.h"
#include "server/service/jobs.h"
#include "server/service/policy.h"
#include "server/service/tests/world.h"

#define DAY_S 86400

static struct world world;

static int setup(void **state)
{
    world_open(&world, WORLD_MEMORY);
    return 0;
}

static int teardown(void **state)
{
    world_close(&world);
    return 0;
}

static size_t forget(void)
{
    size_t count = 99;

    assert_int_equal(history_forget(world.services, &count, NULL), 0);
    return count;
}

static struct event_bounds bounds(void)
{
    struct event_bounds found;

    assert_int_equal(event_bounds(world.database, &found, NULL), 0);
    return found;
}

/* A job that is asked for, cancelled and so ended: it, its events and its entries of the audit. */
static void act(void)
{
    cleanup(job_release) struct job job = { 0 }, ended = { 0 };
    size_t count;

    assert_int_equal(jobs_submit(world.services, &world.caller, "gc", NULL, NULL, NULL, &job, NULL),
                     0);
    assert_int_equal(jobs_cancel(world.services, &world.caller, job.id, &ended, NULL, NULL), 0);
    assert_int_equal(event_sequence_step(world.services, &count, NULL), 0);
}

static size_t audits(int64_t before_s)
{
    size_t count;

    assert_int_equal(audit_forget(world.database, before_s, 10000, &count, NULL), 0);
    return count;
}

/* Each after its own age, and what is younger stays. */
static void test_each_after_its_age(void **state)
{
    const int64_t began = world_now();
    int64_t last;

    act();
    last = bounds().last;
    assert_int_equal(forget(), 0);
    world_sleep(29 * DAY_S);
    act();
    assert_int_equal(forget(), 0);
    world_sleep(2 * DAY_S); /* the first events are 31 days old */
    assert_int_equal(forget(), last);
    assert_int_equal(bounds().oldest, last + 1);
    world_sleep(60 * DAY_S); /* the first job, 91; the other events; the first audit */
    assert_true(forget() > 0);
    assert_int_equal(bounds().oldest, bounds().last + 1);
    assert_int_equal(audits(began + 1), 0); /* gone with it */
    assert_true(audits(world_now()) > 0);   /* of the second act, they were there */
}

/* More than a batch goes in one call. */
static void test_many(void **state)
{
    for (unsigned i = 0; i < 1200; i++) {
        const struct audit_entry entry = { .operation = "look", .result = "ok" };

        assert_int_equal(audit_add(world.database, &entry, NULL), 0);
    }
    world_sleep(91 * DAY_S);
    assert_true(forget() >= 1200);
    assert_int_equal(audits(world_now()), 0);
}

static void test_as_the_policy_says(void **state)
{
    act();
    assert_int_equal(policy_set(world.services, &world.caller, "event_age", "1d", NULL, NULL), 0);
    world_sleep(2 * DAY_S);
    assert_true(forget() > 0);
    assert_true(bounds().oldest > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_after_its_age),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_as_the_policy_says),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
