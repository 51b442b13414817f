/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>

#include "server/db/channels.h"
#include "server/db/purge.h"
#include "common/base/memory.h"
#include "server/db/promotions.h"
#include "server/db/tests/fixture.h"

#define DB(state) (((struct fixture *)*(state))->database)

static struct promotion promotion_of(const char *channel, const char *version)
{
    return (struct promotion){ .project = "shop",
                               .app = "api",
                               .channel = channel,
                               .version = version,
                               .note = "why",
                               .by = { .name = "ci", .token_id = FIXTURE_TOKEN } };
}

static enum promotion_answer promote(struct database *database, const char *version,
                                     const char *expect)
{
    struct promotion promotion = promotion_of("live", version);
    struct promotion_result result;

    promotion.expect = expect;
    assert_int_equal(channel_promote(database, &promotion, &result, NULL), 0);
    return result.answer;
}

static void expect_channel(const struct channel *channel, const char *version, const char *previous)
{
    assert_string_equal(channel->name, "live");
    assert_string_equal(channel->version, version);
    assert_string_equal(channel->previous, previous);
}

static void three_versions(struct database *database)
{
    fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    fixture_version(database, "shop", "api", "2", 2000, 0, 1);
    fixture_version(database, "shop", "api", "3", 3000, 0, 1);
}

static int64_t rows_of(struct database *database)
{
    return fixture_integer(database, "SELECT count(*) FROM promotions");
}

static void a_promotion_writes_channel_history_event_and_audit(void **state)
{
    struct database *database = DB(state);
    struct promotion promotion = promotion_of("live", "1");
    struct promotion_result result;

    three_versions(database);
    assert_int_equal(channel_promote(database, &promotion, &result, NULL), 0);
    assert_int_equal(result.answer, PROMOTION_DONE);
    expect_channel(&result.channel, "1", "");
    assert_int_equal(result.channel.updated_at_s, fixture_now);
    assert_string_equal(result.channel.updated_by, "ci");
    promotion.version = "2";
    assert_int_equal(channel_promote(database, &promotion, &result, NULL), 0);
    expect_channel(&result.channel, "2", "1");
    assert_int_equal(fixture_integer(database,
                                     "SELECT count(*) FROM promotions WHERE action = 'promote'"
                                     " AND channel = 'live' AND version = '2' AND previous = '1'"
                                     " AND actor = 'ci' AND note = 'why'"),
                     1);
    assert_int_equal(
        fixture_integer(database, "SELECT count(*) FROM events WHERE type = 'version.promoted'"
                                  " AND version = '2' AND actor = 'ci' AND data ="
                                  " '{\"channel\":\"live\",\"previous\":\"1\",\"note\":\"why\"}'"),
        1);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM audit WHERE operation ="
                                               " 'version.promote' AND version = '2' AND token_id ="
                                               " '" FIXTURE_TOKEN "'"),
                     1);
}

static void a_promotion_expects_what_it_says(void **state)
{
    struct database *database = DB(state);

    three_versions(database);
    assert_int_equal(promote(database, "1", "2"), PROMOTION_UNEXPECTED);
    assert_int_equal(promote(database, "1", ""), PROMOTION_DONE);
    assert_int_equal(promote(database, "2", ""), PROMOTION_UNEXPECTED);
    assert_int_equal(promote(database, "1", ""), PROMOTION_UNEXPECTED);
    assert_int_equal(promote(database, "2", "1"), PROMOTION_DONE);
    assert_int_equal(rows_of(database), 2);
}

static void what_stands_there_already_is_not_written_again(void **state)
{
    struct database *database = DB(state);

    three_versions(database);
    assert_int_equal(promote(database, "1", NULL), PROMOTION_DONE);
    assert_int_equal(promote(database, "1", NULL), PROMOTION_CURRENT);
    assert_int_equal(promote(database, "1", "1"), PROMOTION_CURRENT);
    assert_int_equal(rows_of(database), 1);
    assert_int_equal(fixture_integer(database,
                                     "SELECT count(*) FROM events WHERE type = 'version.promoted'"),
                     1);
}

static void what_is_not_ready_is_not_promoted(void **state)
{
    struct database *database = DB(state);
    struct promotion promotion = promotion_of("live", "1");
    struct promotion_result result;
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 1);

    assert_int_equal(version_trash(database, id, &actor_host, NULL, false, NULL, NULL), 0);
    assert_int_equal(channel_promote(database, &promotion, &result, NULL), -ENOENT);
    assert_int_equal(version_purge(database, id, INT64_MAX, &actor_host, NULL), 0);
    assert_int_equal(channel_promote(database, &promotion, &result, NULL), -ESTALE);
    promotion.version = "9";
    assert_int_equal(channel_promote(database, &promotion, &result, NULL), -ENOENT);
    promotion.app = "ui";
    assert_int_equal(channel_promote(database, &promotion, &result, NULL), -ENOENT);
    assert_int_equal(rows_of(database), 0);
}

static void what_stands_on_another_channel_is_promoted(void **state)
{
    struct database *database = DB(state);
    struct promotion promotion = promotion_of("beta", "2");
    struct promotion_result result;

    three_versions(database);
    assert_int_equal(channel_promote(database, &promotion, &result, NULL), 0);
    promotion = promotion_of("live", NULL);
    promotion.from_channel = "beta";
    assert_int_equal(channel_promote(database, &promotion, &result, NULL), 0);
    expect_channel(&result.channel, "2", "");
    promotion.from_channel = "none";
    assert_int_equal(channel_promote(database, &promotion, &result, NULL), -ENOENT);
}

static void rollback(struct database *database, const char *to, enum promotion_answer answer,
                     struct promotion_result *out)
{
    struct promotion promotion = promotion_of("live", to);

    assert_int_equal(channel_rollback(database, &promotion, out, NULL), 0);
    assert_int_equal(out->answer, answer);
}

static void a_rollback_goes_to_the_one_before_and_a_second_comes_back(void **state)
{
    struct database *database = DB(state);
    struct promotion_result result;

    three_versions(database);
    rollback(database, NULL, PROMOTION_NO_PREVIOUS, &result);
    promote(database, "1", NULL);
    rollback(database, NULL, PROMOTION_NO_PREVIOUS, &result);
    assert_string_equal(result.channel.version, "1");
    promote(database, "2", NULL);
    promote(database, "3", NULL);
    rollback(database, NULL, PROMOTION_DONE, &result);
    expect_channel(&result.channel, "2", "3");
    rollback(database, NULL, PROMOTION_DONE, &result);
    expect_channel(&result.channel, "3", "2");
    rollback(database, "1", PROMOTION_DONE, &result);
    expect_channel(&result.channel, "1", "3");
    rollback(database, "1", PROMOTION_CURRENT, &result);
    assert_int_equal(fixture_integer(database,
                                     "SELECT count(*) FROM promotions WHERE action = 'rollback'"),
                     3);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM events WHERE type ="
                                               " 'version.rolled-back'"),
                     3);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM audit WHERE operation ="
                                               " 'version.rollback'"),
                     3);
}

static void a_rollback_does_not_go_to_the_trash(void **state)
{
    struct database *database = DB(state);
    struct promotion promotion = promotion_of("live", NULL);
    struct promotion_result result;
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 1);

    fixture_version(database, "shop", "api", "2", 2000, 0, 1);
    promote(database, "1", NULL);
    promote(database, "2", NULL);
    assert_int_equal(version_trash(database, id, &actor_host, NULL, true, NULL, NULL), 0);
    assert_int_equal(channel_rollback(database, &promotion, &result, NULL), -ENOENT);
    assert_int_equal(version_purge(database, id, INT64_MAX, &actor_host, NULL), 0);
    rollback(database, NULL, PROMOTION_NO_PREVIOUS, &result);
    expect_channel(&result.channel, "2", "");
}

static void a_purged_version_takes_its_channel_and_leases_along(void **state)
{
    struct database *database = DB(state);
    struct channel *items;
    size_t count;
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 1);

    promote(database, "1", NULL);
    assert_int_equal(version_trash(database, id, &actor_host, NULL, true, NULL, NULL), 0);
    assert_int_equal(channel_list(database, "shop", "api", &items, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_true(items[0].trashed);
    memory_free(items);
    assert_true(fixture_run(database, "INSERT INTO leases SELECT '" FIXTURE_TOKEN "', 'host', '/',"
                                      " id, 'mount', 'ready', 1, 1, 2 FROM versions") >= 0);
    assert_int_equal(version_purge(database, id, INT64_MAX, &actor_host, NULL), 0);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM channels"), 0);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM leases"), 0);
    assert_int_equal(rows_of(database), 1); /* history stays */
}

static void channels_are_listed_by_name(void **state)
{
    static const char *const names[] = { "live", "beta", "canary" };
    struct database *database = DB(state);
    struct channel *items;
    struct promotion_result result;
    size_t count;
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    int64_t other = fixture_version(database, "shop", "api", "2", 2000, 0, 1);

    assert_int_equal(channel_list(database, "shop", "api", &items, &count, NULL), 0);
    assert_int_equal(count, 0);
    assert_null(items);
    for (size_t i = 0; i < 3; i++) {
        struct promotion promotion = promotion_of(names[i], i == 1 ? "2" : "1");

        assert_int_equal(channel_promote(database, &promotion, &result, NULL), 0);
    }
    assert_int_equal(channel_list(database, "shop", "api", &items, &count, NULL), 0);
    assert_int_equal(count, 3);
    assert_string_equal(items[0].name, "beta");
    assert_string_equal(items[0].version, "2");
    assert_string_equal(items[1].name, "canary");
    assert_string_equal(items[2].name, "live");
    memory_free(items);
    assert_int_equal(channel_list_of(database, id, &items, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_string_equal(items[0].name, "canary");
    assert_string_equal(items[1].name, "live");
    memory_free(items);
    assert_int_equal(channel_list_of(database, other, &items, &count, NULL), 0);
    assert_int_equal(count, 1);
    memory_free(items);
    assert_int_equal(channel_list(database, "shop", "ui", &items, &count, NULL), -ENOENT);
}

static void an_app_has_so_many_channels_and_no_more(void **state)
{
    struct database *database = DB(state);
    struct promotion promotion = promotion_of("one-more", "1");
    struct promotion_result result;

    fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    assert_true(fixture_run(database,
                            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
                            " WHERE i < 1000) INSERT INTO channels SELECT app_id, 'c' || i,"
                            " versions.id, NULL, 1, NULL FROM n, versions") >= 0);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM channels"), CHANNELS_MAX);
    assert_int_equal(channel_promote(database, &promotion, &result, NULL), 0);
    assert_int_equal(result.answer, PROMOTION_TOO_MANY);
    fixture_version(database, "shop", "api", "2", 2000, 0, 1);
    promotion.channel = "c7";
    promotion.version = "2";
    assert_int_equal(channel_promote(database, &promotion, &result, NULL), 0);
    assert_int_equal(result.answer, PROMOTION_DONE);
}

static void history_is_newest_first_and_goes_on_behind_a_row(void **state)
{
    struct database *database = DB(state);
    struct promotion beta = promotion_of("beta", "1");
    struct promotion_result result;
    struct promotion_entry *items;
    size_t count;
    int64_t before;

    three_versions(database);
    promote(database, "1", NULL);
    assert_int_equal(channel_promote(database, &beta, &result, NULL), 0);
    promote(database, "2", NULL);
    rollback(database, NULL, PROMOTION_DONE, &result);
    assert_int_equal(promotion_list(database, "shop", "api", NULL, 0, 2, &items, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_true(items[0].is_rollback);
    assert_string_equal(items[0].version, "1");
    assert_string_equal(items[0].previous, "2");
    assert_string_equal(items[0].note, "why");
    assert_string_equal(items[1].version, "2");
    before = items[1].id;
    promotion_list_free(items, count);
    assert_int_equal(promotion_list(database, "shop", "api", NULL, before, 9, &items, &count, NULL),
                     0);
    assert_int_equal(count, 2);
    assert_string_equal(items[0].channel, "beta");
    assert_string_equal(items[1].previous, "");
    promotion_list_free(items, count);
    assert_int_equal(promotion_list(database, "shop", "api", "beta", 0, 9, &items, &count, NULL),
                     0);
    assert_int_equal(count, 1);
    promotion_list_free(items, count);
    assert_int_equal(promotion_list(database, "shop", "ui", NULL, 0, 9, &items, &count, NULL),
                     -ENOENT);
}

struct racer {
    struct database *database;
    const char *version;
};

static void *race(void *context)
{
    struct racer *racer = context;

    for (int i = 0; i < 20; i++)
        promote(racer->database, racer->version, NULL);
    return NULL;
}

/* Every row's `previous` is the version of the row before: no move was lost, none came twice. */
static void promotions_at_once_make_one_chain(void **state)
{
    struct racer racers[] = { { DB(state), "1" }, { DB(state), "2" }, { DB(state), "3" } };
    pthread_t threads[3];

    three_versions(DB(state));
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(fixture_integer(DB(state),
                                     "SELECT count(*) FROM (SELECT previous, lag(version) OVER"
                                     " (ORDER BY id) AS before FROM promotions) AS rows"
                                     " WHERE coalesce(previous, '') <> coalesce(before, '')"),
                     0);
    assert_int_equal(fixture_integer(DB(state),
                                     "SELECT count(*) FROM channels c JOIN versions v ON v.id ="
                                     " c.version_id WHERE v.name = (SELECT version FROM promotions"
                                     " ORDER BY id DESC LIMIT 1)"),
                     1);
    assert_int_equal(fixture_integer(DB(state),
                                     "SELECT (SELECT count(*) FROM promotions) - (SELECT count(*)"
                                     " FROM events WHERE type = 'version.promoted')"),
                     0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(a_promotion_writes_channel_history_event_and_audit),
        CASE(a_promotion_expects_what_it_says),
        CASE(what_stands_there_already_is_not_written_again),
        CASE(what_is_not_ready_is_not_promoted),
        CASE(what_stands_on_another_channel_is_promoted),
        CASE(a_rollback_goes_to_the_one_before_and_a_second_comes_back),
        CASE(a_rollback_does_not_go_to_the_trash),
        CASE(a_purged_version_takes_its_channel_and_leases_along),
        CASE(channels_are_listed_by_name),
        CASE(an_app_has_so_many_channels_and_no_more),
        CASE(history_is_newest_first_and_goes_on_behind_a_row),
        CASE(promotions_at_once_make_one_chain),
    };

    return cmocka_run_group_tests_name("channels", tests, NULL, NULL);
}
