/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "server/db/channels.h"
#include "server/db/events.h"
#include "server/db/events_outbox.h"
#include "server/db/tests/fixture.h"
#include "server/db/transaction.h"

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
    fixture_now -= 60;
    assert_int_equal(event_number(DB(state), "me", 60, 3, &count, NULL), -EBUSY);
    fixture_now -= 1; /* the clock was ahead, and who had it may be no more */
    assert_int_equal(event_number(DB(state), "me", 60, 3, &count, NULL), 0);
    assert_int_equal(event_number(DB(state), "you", 60, 3, &count, NULL), -EBUSY);
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

struct told {
    const char *type, *project, *app;
};

static int tell(struct transaction *tx, void *context, struct error *err)
{
    const struct told *told = context;
    const struct event_draft draft = { .type = told->type,
                                       .project = told->project,
                                       .app = told->app };

    return event_add(tx, &draft, err);
}

static bool is_version(const void *context, const char *type, const char *project, const char *app)
{
    return strncmp(type, "version.", 8) == 0;
}

/* What was forgotten is known by where and what it was, and so is what is there. */
static void parts_are_apart(void **state)
{
    static const struct told all[] = {
        { "version.created", "p", "a" }, { "token.created", "p", NULL },
        { "version.created", "p", "b" }, { "version.created", "q", "a" },
        { "gc.run", NULL, NULL },        { "token.created", "p", NULL },
        { "version.created", "p", "a" }, { "gc.run", NULL, NULL },
    };
    static const struct {
        struct event_part seen;
        int64_t seen_last, forgotten;
        size_t count;
    } cases[] = {
        { { "", "", NULL, NULL }, 8, 6, 2 },   { { "", "", is_version, NULL }, 7, 4, 2 },
        { { "p", "", NULL, NULL }, 7, 6, 1 },  { { "p", "", is_version, NULL }, 7, 3, 1 },
        { { "p", "b", NULL, NULL }, 3, 3, 0 }, { { "q", "", NULL, NULL }, 4, 4, 0 },
        { { "r", "", NULL, NULL }, 0, 0, 0 },
    };
    size_t count;

    assert_true(fixture_run(DB(state), "DELETE FROM events") >= 0);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        assert_true(transaction_write(DB(state), tell, (void *)&all[i], NULL) >= 0);
    assert_int_equal(event_number(DB(state), "me", 60, 100, &count, NULL), 0);
    for (int later = 0; later < 2; later++) {
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            const struct event_part *part = &cases[i].seen;
            struct event_view view;
            struct event *items;
            int64_t forgotten;

            assert_int_equal(event_view(DB(state), part, part, &view, NULL), 0);
            assert_int_equal(view.last, 8);
            assert_int_equal(view.seen_last, cases[i].seen_last);
            assert_int_equal(view.forgotten, later ? cases[i].forgotten : 0);
            assert_int_equal(event_list_of(DB(state), part, 6, 10, &items, &count, &forgotten,
                                           NULL),
                             0);
            assert_int_equal(count, cases[i].count);
            assert_int_equal(forgotten, view.forgotten);
            event_list_free(items, count);
        }
        assert_int_equal(event_forget(DB(state), INT64_MAX, 6, &count, NULL), 0);
    }
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
        CASE(a_commit_and_its_event_are_one),
        CASE(numbers_go_on_in_batches),
        CASE(parts_are_apart),
        CASE(one_sequencer_at_a_time),
        CASE(bounds_tell_what_is_there),
        CASE(a_promotion_tells_its_channel),
    };

    return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
