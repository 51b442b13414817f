/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "server/db/channels.h"
#include "server/db/events.h"
#include "server/db/tests/fixture.h"

#define DB(state) (((struct fixture *)*(state))->database)

static void a_commit_and_its_event_are_one(void **state)
{
    struct event *items;
    size_t count;

    fixture_version(DB(state), "shop", "api", "1", 1000, 0, 1);
    assert_int_equal(event_list(DB(state), 0, 100, &items, &count, NULL), 0);
    assert_int_equal(count, 0); /* not numbered yet */
    event_list_free(items, count);
    assert_int_equal(event_number(DB(state), "me", 60, 100, &count, NULL), 0);
    assert_int_equal(count, 5); /* two tokens, project, app, version */
    assert_int_equal(event_list(DB(state), 0, 100, &items, &count, NULL), 0);
    assert_int_equal(count, 5);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(items[i].number, i + 1);
    assert_string_equal(items[4].type, "version.created");
    assert_string_equal(items[4].version, "1");
    assert_non_null(items[4].data);
    event_list_free(items, count);
}

static void numbers_go_on_in_batches(void **state)
{
    struct event *items;
    size_t count;

    fixture_version(DB(state), "shop", "api", "1", 1000, 0, 1);
    assert_int_equal(event_number(DB(state), "me", 60, 3, &count, NULL), 0);
    assert_int_equal(count, 3);
    assert_int_equal(event_number(DB(state), "me", 60, 3, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_int_equal(event_number(DB(state), "me", 60, 3, &count, NULL), 0);
    assert_int_equal(count, 0);
    assert_int_equal(event_list(DB(state), 3, 100, &items, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_int_equal(items[1].number, 5);
    event_list_free(items, count);
}

static void one_sequencer_at_a_time(void **state)
{
    size_t count;

    assert_int_equal(event_number(DB(state), "me", 60, 3, &count, NULL), 0);
    assert_int_equal(event_number(DB(state), "you", 60, 3, &count, NULL), -EBUSY);
    fixture_now += 60;
    assert_int_equal(event_number(DB(state), "you", 60, 3, &count, NULL), 0);
    assert_int_equal(event_number(DB(state), "me", 60, 3, &count, NULL), -EBUSY);
}

static void bounds_tell_what_is_there(void **state)
{
    struct event_bounds bounds;
    size_t count;

    assert_int_equal(event_bounds(DB(state), &bounds, NULL), 0);
    assert_int_equal(bounds.oldest, 1);
    assert_int_equal(bounds.last, 0);
    assert_true(bounds.waiting); /* the fixture's tokens */
    fixture_version(DB(state), "shop", "api", "1", 1000, 0, 1);
    assert_int_equal(event_number(DB(state), "me", 60, 3, &count, NULL), 0);
    assert_int_equal(event_bounds(DB(state), &bounds, NULL), 0);
    assert_int_equal(bounds.oldest, 1);
    assert_int_equal(bounds.last, 3);
    assert_true(bounds.waiting);
    assert_int_equal(event_number(DB(state), "me", 60, 30, &count, NULL), 0);
    assert_true(fixture_run(DB(state), "DELETE FROM events WHERE number < 5") >= 0);
    assert_int_equal(event_bounds(DB(state), &bounds, NULL), 0);
    assert_int_equal(bounds.oldest, 5);
    assert_int_equal(bounds.last, 5);
    assert_false(bounds.waiting);
    assert_true(fixture_run(DB(state), "DELETE FROM events") >= 0);
    assert_int_equal(event_bounds(DB(state), &bounds, NULL), 0);
    assert_int_equal(bounds.oldest, 6);
    assert_int_equal(bounds.last, 5);
}

static void promote(struct database *database, const char *version)
{
    const struct promotion promotion = {
        .project = "shop", .app = "api", .channel = "live", .version = version, .by = actor_host
    };
    struct promotion_result result;

    assert_int_equal(channel_promote(database, &promotion, &result, NULL), 0);
    assert_int_equal(result.answer, PROMOTION_DONE);
}

/* Those who follow a channel are told which one, and what it was at. */
static void a_promotion_tells_its_channel(void **state)
{
    struct event *items;
    size_t count;

    fixture_version(DB(state), "shop", "api", "1", 1000, 0, 1);
    fixture_version(DB(state), "shop", "api", "2", 2000, 10, 1);
    promote(DB(state), "1");
    promote(DB(state), "2");
    assert_int_equal(event_number(DB(state), "me", 60, 100, &count, NULL), 0);
    assert_int_equal(event_list(DB(state), 0, 100, &items, &count, NULL), 0);
    assert_true(count >= 2);
    assert_string_equal(items[count - 2].type, "version.promoted");
    assert_string_equal(items[count - 2].data, "{\"channel\":\"live\"}");
    assert_string_equal(items[count - 1].version, "2");
    assert_string_equal(items[count - 1].data, "{\"channel\":\"live\",\"previous\":\"1\"}");
    event_list_free(items, count);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(a_commit_and_its_event_are_one), CASE(numbers_go_on_in_batches),
        CASE(one_sequencer_at_a_time),        CASE(bounds_tell_what_is_there),
        CASE(a_promotion_tells_its_channel),
    };

    return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
