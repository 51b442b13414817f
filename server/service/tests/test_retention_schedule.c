/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "server/service/jobs.h"
#include "server/service/policy.h"
#include "server/service/retention_schedule.h"
#include "server/service/tests/world.h"

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

static size_t step(void)
{
    size_t count;

    assert_int_equal(retention_schedule_step(world.services, &count, NULL), 0);
    return count;
}

static size_t work(void)
{
    size_t count;

    assert_int_equal(jobs_work(world.services, &count, NULL), 0);
    return count;
}

static void set(const char *key, const char *value)
{
    assert_int_equal(policy_set(world.services, &world.caller, key, value, NULL, NULL), 0);
}

/* To the next time of day, in UTC. */
static void sleep_to(int hour, int minute)
{
    const int64_t wanted = hour * 3600 + minute * 60;

    world_sleep((wanted - world_now() % 86400 + 86400) % 86400);
}

static void test_once_a_day(void **state)
{
    sleep_to(12, 0);
    assert_int_equal(step(), 0); /* planned */
    sleep_to(2, 59);
    assert_int_equal(step(), 0);
    world_sleep(60);
    assert_int_equal(step(), 1);
    assert_int_equal(step(), 0);
    assert_int_equal(work(), 1);
    world_sleep(86399);
    assert_int_equal(step(), 0);
    world_sleep(1);
    assert_int_equal(step(), 1);
    assert_int_equal(work(), 1);
}

/* Nobody was there for days: one run, then the next at its time. */
static void test_what_was_missed_is_made_up_for_once(void **state)
{
    world_sleep(5 * 86400 + 3600);
    world_restart(&world);
    assert_int_equal(step(), 1);
    assert_int_equal(step(), 0);
    assert_int_equal(work(), 1);
    sleep_to(3, 0);
    assert_int_equal(step(), 1);
    assert_int_equal(work(), 1);
}

/* Planned by a clock that was a year ahead: the next time is the one of the clock as it is. */
static void test_a_clock_that_was_ahead(void **state)
{
    world_sleep(365 * 86400);
    assert_int_equal(step(), 1);
    assert_int_equal(work(), 1);
    world_sleep(-365 * 86400);
    assert_int_equal(step(), 0);
    world_sleep(86400);
    assert_int_equal(step(), 1);
    assert_int_equal(work(), 1);
}

static void test_off(void **state)
{
    set("retention_schedule", "off");
    world_sleep(10 * 86400);
    assert_int_equal(step(), 0);
    /* what was not planned was not missed */
    world_sleep(60);
    set("retention_schedule", NULL);
    assert_int_equal(step(), 0);
    sleep_to(3, 0);
    assert_int_equal(step(), 1);
    assert_int_equal(work(), 1);
}

static void test_a_place(void **state)
{
    set("time_zone", "Asia/Kathmandu"); /* 5:45 before UTC, all the year */
    assert_int_equal(step(), 0);
    sleep_to(21, 14);
    assert_int_equal(step(), 0);
    world_sleep(60);
    assert_int_equal(step(), 1);
    assert_int_equal(work(), 1);
    set("time_zone", NULL);
}

/* One that waits already is not asked for twice. */
static void test_nobody_worked(void **state)
{
    assert_int_equal(step(), 0);
    sleep_to(3, 0);
    assert_int_equal(step(), 1);
    world_sleep(86400);
    assert_int_equal(step(), 0);
    assert_int_equal(work(), 1);
    world_sleep(86400);
    assert_int_equal(step(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once_a_day),
        cmocka_unit_test(test_what_was_missed_is_made_up_for_once),
        cmocka_unit_test(test_a_clock_that_was_ahead),
        cmocka_unit_test(test_off),
        cmocka_unit_test(test_a_place),
        cmocka_unit_test(test_nobody_worked),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
