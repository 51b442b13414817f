/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "server/db/jobs.h"
#include "server/db/schedules.h"
#include "server/db/tests/fixture.h"

#define DB(state) (((struct fixture *)*(state))->database)
#define JOBS(state) fixture_integer(DB(state), "SELECT count(*) FROM jobs")

static const struct job_draft draft = { .kind = "retention", .lane = "delete" };
static const struct schedule daily = { "retention", "0 3 * * * UTC" };

static int64_t next(struct database *database, const struct schedule *schedule)
{
    int64_t next_s;

    assert_int_equal(schedule_next(database, schedule, &next_s, NULL), 0);
    return next_s;
}

static bool advance(struct database *database, const struct schedule *schedule, int64_t next_s)
{
    bool asked;

    assert_int_equal(schedule_advance(database, schedule, next_s, &actor_host, &draft, &asked,
                                      NULL),
                     0);
    return asked;
}

static void the_first_time_is_planned(void **state)
{
    assert_int_equal(next(DB(state), &daily), 0);
    assert_false(advance(DB(state), &daily, fixture_now + 100));
    assert_int_equal(next(DB(state), &daily), fixture_now + 100);
    assert_int_equal(JOBS(state), 0);
}

/* Both saw that the time has come: the second finds the next one planned. */
static void one_of_two_servers_asks(void **state)
{
    advance(DB(state), &daily, fixture_now + 100);
    fixture_now += 100;
    assert_true(advance(DB(state), &daily, fixture_now + 50));
    assert_false(advance(DB(state), &daily, fixture_now + 60));
    assert_int_equal(next(DB(state), &daily), fixture_now + 50);
    assert_int_equal(JOBS(state), 1);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM audit"
                                                " WHERE operation = 'retention.run'"),
                     1);
}

static void another_plan_is_planned_afresh(void **state)
{
    const struct schedule other = { "retention", "0 4 * * * UTC" };

    advance(DB(state), &daily, fixture_now + 100);
    fixture_now += 200;
    assert_int_equal(next(DB(state), &other), 0);
    assert_false(advance(DB(state), &other, fixture_now + 10));
    assert_int_equal(next(DB(state), &other), fixture_now + 10);
    assert_int_equal(JOBS(state), 0);
}

/* By a clock that was ahead: the time has not come, and is not waited for. */
static void what_is_planned_too_late(void **state)
{
    advance(DB(state), &daily, fixture_now + 5000);
    assert_false(advance(DB(state), &daily, fixture_now + 100));
    assert_int_equal(next(DB(state), &daily), fixture_now + 100);
    assert_int_equal(JOBS(state), 0);
}

static void forgotten(void **state)
{
    advance(DB(state), &daily, fixture_now + 100);
    assert_int_equal(schedule_forget(DB(state), "retention", NULL), 0);
    assert_int_equal(next(DB(state), &daily), 0);
    assert_int_equal(schedule_forget(DB(state), "retention", NULL), 0);
}

static void nonsense_counts_as_none(void **state)
{
    static const char *const values[] = { "", "soon", "12", "x 0 3 * * * UTC", "-1 0 3 * * * UTC" };

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char sql[200];

        snprintf(sql, sizeof(sql),
                 "INSERT OR REPLACE INTO settings (name, value, updated_at)"
                 " VALUES ('retention.next', '%s', 0)",
                 values[i]);
        assert_true(fixture_run(DB(state), sql) >= 0);
        assert_int_equal(next(DB(state), &daily), 0);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(the_first_time_is_planned),
        CASE(one_of_two_servers_asks),
        CASE(another_plan_is_planned_afresh),
        CASE(what_is_planned_too_late),
        CASE(forgotten),
        CASE(nonsense_counts_as_none),
    };

    return cmocka_run_group_tests_name("schedules", tests, NULL, NULL);
}
