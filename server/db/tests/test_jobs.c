/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "common/base/cleanup.h"
#include "server/db/jobs.h"
#include "server/db/tests/fixture.h"

#define DB(state) (((struct fixture *)*(state))->database)
#define LEASE_S 60

static const struct job_draft sweep = { .kind = "gc", .lane = "delete" };
static const struct job_draft sweep_one = {
    .kind = "gc", .lane = "delete", .project = "shop", .app = "api", .params = "{}"
};
static const struct job_draft look = { .kind = "fsck", .lane = "check" };
static const struct job_scope everything = { "", "", false };

static void add(struct database *database, const struct job_draft *draft, int expected,
                struct job *out)
{
    *out = (struct job){ .number = 0 };
    assert_int_equal(job_add(database, &actor_host, draft, out, NULL), expected);
}

static enum job_state state_of(struct database *database, const char *id)
{
    cleanup(job_release) struct job job = { 0 };

    assert_int_equal(job_get(database, id, &job, NULL), 0);
    return job.state;
}

static void one_that_waits_is_not_asked_for_twice(void **state)
{
    cleanup(job_release) struct job first, again, other;

    add(DB(state), &sweep, 0, &first);
    add(DB(state), &sweep, 1, &again);
    assert_string_equal(first.id, again.id);
    add(DB(state), &sweep_one, 0, &other);
    assert_string_not_equal(first.id, other.id);
    assert_string_equal(other.project, "shop");
    assert_string_equal(other.params, "{}");
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM events"
                                                " WHERE type = 'job.queued'"),
                     2);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM audit"
                                                " WHERE operation = 'gc.run'"),
                     2);
}

/* While one runs, the same may be asked for again: it may have missed something. */
static void one_that_runs_is_asked_for_again(void **state)
{
    cleanup(job_release) struct job first, taken = { 0 }, again;

    add(DB(state), &sweep, 0, &first);
    assert_int_equal(job_claim(DB(state), "delete", "me", LEASE_S, &taken, NULL), 1);
    add(DB(state), &sweep, 0, &again);
    assert_string_not_equal(first.id, again.id);
}

static void of_a_lane_one_at_a_time(void **state)
{
    cleanup(job_release) struct job first, second, taken = { 0 }, none = { 0 }, beside = { 0 };

    add(DB(state), &sweep, 0, &first);
    add(DB(state), &sweep_one, 0, &second);
    assert_int_equal(job_claim(DB(state), "delete", "me", LEASE_S, &taken, NULL), 1);
    assert_string_equal(taken.id, first.id);
    assert_int_equal(taken.state, JOB_RUNNING);
    assert_int_equal(job_claim(DB(state), "delete", "you", LEASE_S, &none, NULL), 0);
    assert_int_equal(job_claim(DB(state), "check", "you", LEASE_S, &none, NULL), 0);
    job_release(&second);
    add(DB(state), &look, 0, &second);
    assert_int_equal(job_claim(DB(state), "check", "you", LEASE_S, &beside, NULL), 1);
    assert_string_equal(beside.kind, "fsck");
}

/* Whoever does not renew loses it, and cannot end it any more. */
static void a_lease_that_is_over(void **state)
{
    const struct job_end done = { .state = JOB_DONE };
    cleanup(job_release) struct job first, mine = { 0 }, yours = { 0 }, none = { 0 };

    add(DB(state), &sweep, 0, &first);
    assert_int_equal(job_claim(DB(state), "delete", "me", LEASE_S, &mine, NULL), 1);
    fixture_now += LEASE_S - 1;
    assert_int_equal(job_renew(DB(state), mine.number, "me", LEASE_S, 5, 10, NULL), 0);
    fixture_now += LEASE_S - 1;
    assert_int_equal(job_claim(DB(state), "delete", "you", LEASE_S, &none, NULL), 0);
    fixture_now += 1;
    assert_int_equal(job_claim(DB(state), "delete", "you", LEASE_S, &yours, NULL), 1);
    assert_string_equal(yours.id, mine.id);
    assert_int_equal(yours.done, 0); /* from the start */
    assert_int_equal(yours.started_at_s, mine.started_at_s);
    assert_int_equal(job_renew(DB(state), mine.number, "me", LEASE_S, 6, 10, NULL), -EBUSY);
    assert_int_equal(job_put_back(DB(state), mine.number, "me", NULL), -EBUSY);
    assert_int_equal(job_finish(DB(state), mine.number, "me", &done, NULL), -EBUSY);
    assert_int_equal(state_of(DB(state), mine.id), JOB_RUNNING);
    assert_int_equal(job_finish(DB(state), mine.number, "you", &done, NULL), 0);
    assert_int_equal(state_of(DB(state), mine.id), JOB_DONE);
}

/* Given by a clock that was a year ahead, to a server that died: it is over. A clock that was set
 * back a little takes none away. */
static void a_lease_of_a_clock_that_was_ahead(void **state)
{
    cleanup(job_release) struct job first, mine = { 0 }, none = { 0 }, yours = { 0 };

    add(DB(state), &sweep, 0, &first);
    assert_int_equal(job_claim(DB(state), "delete", "me", LEASE_S, &mine, NULL), 1);
    fixture_now -= LEASE_S;
    assert_int_equal(job_claim(DB(state), "delete", "you", LEASE_S, &none, NULL), 0);
    fixture_now -= 365 * 86400;
    assert_int_equal(job_claim(DB(state), "delete", "you", LEASE_S, &yours, NULL), 1);
    assert_string_equal(yours.id, mine.id);
    assert_int_equal(job_renew(DB(state), mine.number, "me", LEASE_S, 0, 0, NULL), -EBUSY);
    assert_int_equal(job_claim(DB(state), "delete", "me", LEASE_S, &none, NULL), 0);
}

/* Each time that it is taken counts, but not when it is given back. */
static void how_often_it_was_begun(void **state)
{
    cleanup(job_release) struct job first;

    add(DB(state), &sweep, 0, &first);
    for (int i = 1; i <= 4; i++) {
        cleanup(job_release) struct job taken = { 0 };

        assert_int_equal(job_claim(DB(state), "delete", "me", LEASE_S, &taken, NULL), 1);
        assert_int_equal(taken.begun, i < 3 ? i : i - 1);
        if (i == 2)
            assert_int_equal(job_put_back(DB(state), taken.number, "me", NULL), 0);
        fixture_now += LEASE_S;
    }
}

/* It passes what is queued, and waits for what runs; also when that runs no more. */
static void one_that_is_begun_at_once(void **state)
{
    static const struct job_draft own = { .kind = "backup", .lane = "delete" };
    cleanup(job_release) struct job waits, mine = { 0 }, none = { 0 }, taken = { 0 };

    add(DB(state), &sweep, 0, &waits);
    assert_int_equal(job_begin(DB(state), &actor_host, &own, "me", LEASE_S, &mine, NULL), 0);
    assert_string_equal(mine.kind, "backup");
    assert_int_equal(mine.state, JOB_RUNNING);
    assert_int_equal(mine.started_at_s, fixture_now);
    assert_int_equal(job_claim(DB(state), "delete", "you", LEASE_S, &taken, NULL), 0);
    assert_int_equal(job_begin(DB(state), &actor_host, &own, "you", LEASE_S, &none, NULL), -EBUSY);
    fixture_now += LEASE_S;
    assert_int_equal(job_begin(DB(state), &actor_host, &own, "you", LEASE_S, &none, NULL), -EBUSY);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM jobs"), 2);
    assert_int_equal(job_claim(DB(state), "delete", "you", LEASE_S, &taken, NULL), 1);
    assert_string_equal(taken.id, mine.id);
    assert_int_equal(job_renew(DB(state), mine.number, "me", LEASE_S, 0, 0, NULL), -EBUSY);
}

static void what_came_of_it(void **state)
{
    const struct job_end end = {
        .state = JOB_FAILED, .result = "{\"n\":1}", .problem = "the disk", .done = 7
    };
    cleanup(job_release) struct job first, taken = { 0 }, found = { 0 };

    add(DB(state), &sweep, 0, &first);
    assert_int_equal(job_claim(DB(state), "delete", "me", LEASE_S, &taken, NULL), 1);
    assert_int_equal(job_put_back(DB(state), taken.number, "me", NULL), 0);
    assert_int_equal(state_of(DB(state), first.id), JOB_QUEUED);
    job_release(&taken);
    assert_int_equal(job_claim(DB(state), "delete", "me", LEASE_S, &taken, NULL), 1);
    fixture_now += 3;
    assert_int_equal(job_finish(DB(state), taken.number, "me", &end, NULL), 0);
    assert_int_equal(job_get(DB(state), first.id, &found, NULL), 0);
    assert_int_equal(found.state, JOB_FAILED);
    assert_string_equal(found.result, "{\"n\":1}");
    assert_string_equal(found.problem, "the disk");
    assert_string_equal(found.actor, "host");
    assert_int_equal(found.done, 7);
    assert_int_equal(found.finished_at_s, found.started_at_s + 3);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM events WHERE"
                                                " type = 'job.finished'"
                                                " AND data LIKE '%\"state\":\"failed\"%'"),
                     1);
}

static void cancelling(void **state)
{
    const struct job_end end = { .state = JOB_CANCELLED };
    cleanup(job_release) struct job waits, found = { 0 }, runs, taken = { 0 };

    add(DB(state), &sweep, 0, &waits);
    assert_int_equal(job_cancel(DB(state), &actor_host, waits.id, &found, NULL), 0);
    assert_int_equal(found.state, JOB_CANCELLED);
    assert_int_equal(job_claim(DB(state), "delete", "me", LEASE_S, &taken, NULL), 0);
    add(DB(state), &sweep, 0, &runs);
    assert_int_equal(job_claim(DB(state), "delete", "me", LEASE_S, &taken, NULL), 1);
    job_release(&found);
    assert_int_equal(job_cancel(DB(state), &actor_host, runs.id, &found, NULL), 0);
    assert_int_equal(found.state, JOB_RUNNING);
    assert_true(found.cancelling);
    assert_int_equal(job_renew(DB(state), taken.number, "me", LEASE_S, 0, 0, NULL), 1);
    assert_int_equal(job_finish(DB(state), taken.number, "me", &end, NULL), 0);
    /* What has ended stays as it ended. */
    job_release(&found);
    assert_int_equal(job_cancel(DB(state), &actor_host, runs.id, &found, NULL), 0);
    assert_int_equal(found.state, JOB_CANCELLED);
    assert_int_equal(job_cancel(DB(state), &actor_host, "none", &found, NULL), -ENOENT);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM audit"
                                                " WHERE operation = 'gc.cancel'"),
                     2);
}

static void lists_by_page_and_scope(void **state)
{
    static const struct job_scope shop = { "shop", "", false }, other = { "other", "", false };
    static const struct job_scope placed = { "", "", true };
    cleanup(job_release) struct job first, second, third;
    struct job *items;
    size_t count;

    add(DB(state), &sweep, 0, &first);
    add(DB(state), &sweep_one, 0, &second);
    add(DB(state), &look, 0, &third);
    assert_int_equal(job_list(DB(state), &everything, 0, 2, &items, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_string_equal(items[0].id, third.id);
    job_list_free(items, count);
    assert_int_equal(job_list(DB(state), &everything, second.number, 2, &items, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_string_equal(items[0].id, first.id);
    job_list_free(items, count);
    assert_int_equal(job_list(DB(state), &shop, 0, 10, &items, &count, NULL), 0);
    assert_int_equal(count, 1);
    job_list_free(items, count);
    assert_int_equal(job_list(DB(state), &placed, 0, 10, &items, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_string_equal(items[0].id, second.id);
    job_list_free(items, count);
    assert_int_equal(job_list(DB(state), &other, 0, 10, &items, &count, NULL), 0);
    assert_int_equal(count, 0);
    job_list_free(items, count);
}

static void what_ended_long_ago_is_forgotten(void **state)
{
    cleanup(job_release) struct job first, second, found = { 0 };
    size_t count;

    add(DB(state), &sweep, 0, &first);
    assert_int_equal(job_cancel(DB(state), &actor_host, first.id, &found, NULL), 0);
    add(DB(state), &look, 0, &second);
    assert_int_equal(job_forget(DB(state), fixture_now, 10, &count, NULL), 0);
    assert_int_equal(count, 0);
    fixture_now += 1000;
    assert_int_equal(job_forget(DB(state), fixture_now, 10, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_int_equal(state_of(DB(state), second.id), JOB_QUEUED);
}

static void do_one(struct database *database, const struct job_draft *draft, struct job *out)
{
    const struct job_end end = { .state = JOB_DONE };
    cleanup(job_release) struct job asked;

    *out = (struct job){ .number = 0 };
    add(database, draft, 0, &asked);
    assert_int_equal(job_claim(database, draft->lane, "me", LEASE_S, out, NULL), 1);
    assert_int_equal(job_finish(database, out->number, "me", &end, NULL), 0);
}

/* However long ago it was, and also where the clock was ahead for a while. */
static void the_last_of_everything_stays(void **state)
{
    cleanup(job_release) struct job first, last, of_one, ahead;
    struct job_last_end *ends;
    size_t count;

    do_one(DB(state), &sweep, &first);
    do_one(DB(state), &sweep, &last);
    do_one(DB(state), &sweep_one, &of_one);
    fixture_now += 5000;
    do_one(DB(state), &sweep, &ahead);
    fixture_now -= 4000;
    assert_int_equal(job_forget(DB(state), fixture_now, 10, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_int_equal(state_of(DB(state), last.id), JOB_DONE);
    assert_int_equal(state_of(DB(state), ahead.id), JOB_DONE);
    assert_int_equal(job_last_ends(DB(state), 10, &ends, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_string_equal(ends[0].kind, sweep.kind);
    assert_int_equal(ends[0].finished_at_s, fixture_now + 4000);
    memory_free(ends);
    fixture_now += 9000;
    assert_int_equal(job_forget(DB(state), fixture_now, 10, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_int_equal(state_of(DB(state), ahead.id), JOB_DONE);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(one_that_waits_is_not_asked_for_twice),
        CASE(one_that_runs_is_asked_for_again),
        CASE(of_a_lane_one_at_a_time),
        CASE(a_lease_that_is_over),
        CASE(a_lease_of_a_clock_that_was_ahead),
        CASE(how_often_it_was_begun),
        CASE(one_that_is_begun_at_once),
        CASE(what_came_of_it),
        CASE(cancelling),
        CASE(lists_by_page_and_scope),
        CASE(what_ended_long_ago_is_forgotten),
        CASE(the_last_of_everything_stays),
    };

    return cmocka_run_group_tests_name("jobs", tests, NULL, NULL);
}
