/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "server/db/channels.h"
#include "server/db/database.h"
#include "server/db/purge.h"
#include "server/db/tests/fixture.h"
#include "server/db/version_copy.h"

#define DB(state) (((struct fixture *)*(state))->database)

static void look(struct database *database, const char *name, int expected)
{
    struct version version = version_empty();

    assert_int_equal(version_get(database, "shop", "api", name, &version, NULL), expected);
    version_release(&version);
}

static enum version_state state_of(struct database *database, const char *name)
{
    struct version version = version_empty();
    enum version_state state;

    assert_int_equal(version_get(database, "shop", "api", name, &version, NULL), 0);
    state = version.state;
    version_release(&version);
    return state;
}

static void expect_latest(struct database *database, const char *name)
{
    struct version version = version_empty();

    assert_int_equal(version_latest(database, "shop", "api", &version, NULL), 0);
    assert_string_equal(version.name, name);
    version_release(&version);
}

static int promote(struct database *database, const char *channel, const char *version)
{
    const struct promotion promotion = { .project = "shop",
                                         .app = "api",
                                         .channel = channel,
                                         .version = version,
                                         .by = { .name = "ci" } };
    struct promotion_result result;

    return channel_promote(database, &promotion, &result, NULL);
}

static enum push_answer open_again(struct database *database, const char *name, unsigned content)
{
    struct digest digest = fixture_digest(content);
    struct push_opening opening = { .project = "shop",
                                    .app = "api",
                                    .token_id = FIXTURE_TOKEN,
                                    .version = name,
                                    .content = &digest };
    struct push_result result = { 0 };
    enum push_answer answer;

    assert_int_equal(push_open(database, &opening, &result, NULL), 0);
    answer = result.answer;
    push_result_release(&result);
    return answer;
}

static void a_version_is_found_with_all_that_was_said(void **state)
{
    char text[] = "abc";
    char labels[] = "{\"k\":\"v\"}";
    struct version_metadata metadata = { .git_commit = text,
                                         .git_ref = text,
                                         .vcs_url = text,
                                         .builder = text,
                                         .build_url = text,
                                         .build_time_s = 0,
                                         .has_build_time = true,
                                         .labels = labels };
    struct database *database = DB(state);
    int64_t number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    struct push_commit commit = fixture_parts(database, number, 1000, "1.0");
    struct push_result result = { 0 };
    struct version version = version_empty();

    commit.metadata = &metadata;
    assert_int_equal(push_commit(database, &commit, &result, NULL), 0);
    push_result_release(&result);
    assert_int_equal(version_get(database, "shop", "api", "1.0", &version, NULL), 0);
    assert_string_equal(version.project, "shop");
    assert_string_equal(version.app, "api");
    assert_true(digest_equal(&version.content, &commit.content));
    assert_true(digest_equal(&version.times, &commit.times));
    assert_true(digest_equal(&version.tree, &commit.tree));
    assert_int_equal(version.tree_size, 8192);
    assert_int_equal(version.created_at_s, fixture_now);
    assert_string_equal(version.metadata.git_commit, "abc");
    assert_string_equal(version.metadata.labels, "{\"k\":\"v\"}");
    assert_true(version.metadata.has_build_time);
    assert_int_equal(version.metadata.build_time_s, 0);
    assert_null(version.signatures);
    assert_false(version.pinned);
    version_release(&version);
    look(database, "2.0", -ENOENT);
}

static void only_its_own_blobs_belong_to_a_version(void **state)
{
    struct database *database = DB(state);
    int64_t first = fixture_version(database, "shop", "api", "1", 1000, 0, 3);
    int64_t second = fixture_version(database, "shop", "api", "2", 2000, 3, 3);
    struct digest in_first = fixture_digest(0);
    struct digest in_second = fixture_digest(3);
    struct digest listing = fixture_digest(1000);
    struct blob blob;

    assert_int_equal(blob_of_version(database, first, &in_first, &blob, NULL), 0);
    assert_int_equal(blob.size, 1000);
    assert_int_equal(blob_of_version(database, first, &listing, &blob, NULL), 0);
    assert_int_equal(blob_of_version(database, first, &in_second, &blob, NULL), -ENOENT);
    assert_int_equal(blob_of_version(database, second, &in_first, &blob, NULL), -ENOENT);
    assert_int_equal(blob_of_version(database, 99, &in_first, &blob, NULL), -ENOENT);
}

static void lists_are_newest_first_and_go_on_behind_a_row(void **state)
{
    struct database *database = DB(state);
    struct version *items;
    size_t count;

    fixture_version(database, "shop", "api", "a", 1000, 0, 1);
    fixture_version(database, "shop", "api", "b", 2000, 0, 1); /* the same second */
    fixture_now += 10;
    fixture_version(database, "shop", "api", "c", 3000, 0, 1);
    assert_int_equal(version_list(database, "shop", "api", 0, 0, 2, &items, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_string_equal(items[0].name, "c");
    assert_string_equal(items[1].name, "b");
    {
        int64_t at = items[1].created_at_s;
        int64_t id = items[1].id;

        version_list_free(items, count);
        assert_int_equal(version_list(database, "shop", "api", at, id, 2, &items, &count, NULL), 0);
    }
    assert_int_equal(count, 1);
    assert_string_equal(items[0].name, "a");
    version_list_free(items, count);
    assert_int_equal(version_list(database, "shop", "ui", 0, 0, 2, &items, &count, NULL), -ENOENT);
}

static void latest_is_the_live_one_else_the_newest(void **state)
{
    struct database *database = DB(state);
    struct version version = version_empty();

    assert_int_equal(version_latest(database, "shop", "api", &version, NULL), -ENOENT);
    fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    fixture_now++;
    fixture_version(database, "shop", "api", "2", 2000, 0, 1);
    expect_latest(database, "2");
    assert_int_equal(promote(database, "live", "1"), 0);
    expect_latest(database, "1");
    assert_int_equal(promote(database, "beta", "2"), 0);
    expect_latest(database, "1");
    assert_int_equal(version_on_channel(database, "shop", "api", "beta", &version, NULL), 0);
    assert_string_equal(version.name, "2");
    version_release(&version);
    assert_int_equal(version_on_channel(database, "shop", "api", "none", &version, NULL), -ENOENT);
}

static void the_trash_is_not_listed_but_resolves(void **state)
{
    struct database *database = DB(state);
    struct version version = version_empty();
    struct version *items;
    size_t count;
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 1);

    assert_int_equal(version_trash(database, id, &actor_host, "test", false, NULL, NULL), 0);
    assert_int_equal(version_trash(database, id, &actor_host, "test", false, NULL, NULL), 0);
    assert_int_equal(version_list(database, "shop", "api", 0, 0, 10, &items, &count, NULL), 0);
    assert_int_equal(count, 0);
    version_list_free(items, count);
    assert_int_equal(version_latest(database, "shop", "api", &version, NULL), -ENOENT);
    assert_int_equal(state_of(database, "1"), VERSION_TRASHED);
    assert_int_equal(version_restore(database, id, &actor_host, NULL), 0);
    expect_latest(database, "1");
}

static void promoted_and_previous_and_pinned_are_not_trashed(void **state)
{
    struct database *database = DB(state);
    int64_t first = fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    int64_t second = fixture_version(database, "shop", "api", "2", 2000, 0, 1);
    int64_t third = fixture_version(database, "shop", "api", "3", 3000, 0, 1);

    assert_int_equal(promote(database, "live", "1"), 0);
    assert_int_equal(promote(database, "live", "2"), 0);
    assert_true(fixture_run(database, "UPDATE versions SET pinned = 1 WHERE name = '3'") >= 0);
    assert_int_equal(version_trash(database, first, &actor_host, NULL, false, NULL, NULL), -EBUSY);
    assert_int_equal(version_trash(database, second, &actor_host, NULL, false, NULL, NULL), -EBUSY);
    assert_int_equal(version_trash(database, third, &actor_host, NULL, false, NULL, NULL), -EBUSY);
    assert_int_equal(version_trash(database, third, &actor_host, NULL, true, NULL, NULL), 0);
}

static void what_protects_a_version_is_told(void **state)
{
    struct database *database = DB(state);
    int64_t first = fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    int64_t second = fixture_version(database, "shop", "api", "2", 2000, 0, 1);
    struct protection protection;

    assert_int_equal(promote(database, "live", "1"), 0);
    assert_int_equal(promote(database, "beta", "1"), 0);
    assert_int_equal(promote(database, "live", "2"), 0);
    assert_int_equal(version_trash(database, first, &actor_host, NULL, false, &protection, NULL),
                     -EBUSY);
    assert_int_equal(protection.kind, PROTECTION_PROMOTED);
    assert_int_equal(protection.by.count, 2);
    assert_memory_equal(protection.by.text, "beta\0live", 10);
    assert_true(fixture_run(database, "DELETE FROM channels") >= 0);
    assert_true(fixture_run(database, "UPDATE versions SET pinned = 1 WHERE name = '1'") >= 0);
    assert_int_equal(version_trash(database, first, &actor_host, NULL, false, &protection, NULL),
                     -EBUSY);
    assert_int_equal(protection.kind, PROTECTION_PINNED);
    assert_true(fixture_run(database, "INSERT INTO leases SELECT '" FIXTURE_TOKEN "', 'h' || id,"
                                      " '/', id, 'mount', 'ready', 1, 1, 1 FROM versions") >= 0);
    assert_int_equal(version_trash(database, second, &actor_host, NULL, false, &protection, NULL),
                     0); /* that lease is over */
    assert_int_equal(protection.kind, PROTECTION_NONE);
    assert_int_equal(version_restore(database, second, &actor_host, NULL), 0);
    assert_true(fixture_run(database, "UPDATE leases SET expires_at = 99999999999") >= 0);
    assert_int_equal(version_trash(database, second, &actor_host, NULL, false, &protection, NULL),
                     -EBUSY);
    assert_int_equal(protection.kind, PROTECTION_LEASED);
    assert_int_equal(protection.by.count, 1);
    assert_string_equal(protection.by.text, "h2");
    assert_int_equal(version_trash(database, second, &actor_host, "why", true, &protection, NULL),
                     0);
    assert_int_equal(fixture_integer(database,
                                     "SELECT count(*) FROM audit WHERE operation = 'version.trash'"
                                     " AND version = '2' AND data = '{\"forced\":true}'"),
                     1);
}

static void the_trash_tells_who_and_why_last_first(void **state)
{
    const struct actor by = { .name = "root" };
    struct database *database = DB(state);
    struct version *items;
    size_t count;
    int64_t ids[3] = { fixture_version(database, "shop", "api", "a", 1000, 0, 1),
                       fixture_version(database, "shop", "api", "b", 2000, 0, 1),
                       fixture_version(database, "shop", "api", "c", 3000, 0, 1) };

    for (int i = 2; i >= 0; i--) {
        assert_int_equal(version_trash(database, ids[i], &by, "why", false, NULL, NULL), 0);
        fixture_now += i == 2 ? 0 : 10;
    }
    assert_int_equal(version_list_trash(database, "shop", "api", 0, 0, 2, &items, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_string_equal(items[0].name, "a");
    assert_string_equal(items[0].trashed_by, "root");
    assert_string_equal(items[0].trash_reason, "why");
    assert_int_equal(items[0].trashed_at_s, fixture_now - 10);
    assert_string_equal(items[1].name, "c"); /* the same second: by id */
    {
        int64_t at = items[1].trashed_at_s;
        int64_t id = items[1].id;

        version_list_free(items, count);
        assert_int_equal(version_list_trash(database, "shop", "api", at, id, 2, &items, &count,
                                            NULL),
                         0);
    }
    assert_int_equal(count, 1);
    assert_string_equal(items[0].name, "b");
    version_list_free(items, count);
    assert_int_equal(version_list(database, "shop", "api", 0, 0, 9, &items, &count, NULL), 0);
    assert_int_equal(count, 0);
    version_list_free(items, count);
}

static void the_epoch_moves_with_the_trash(void **state)
{
    struct database *database = DB(state);
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    uint64_t epoch = database_version_epoch(database);

    assert_int_equal(version_trash(database, id, &actor_host, NULL, false, NULL, NULL), 0);
    assert_true(database_version_epoch(database) > epoch);
    epoch = database_version_epoch(database);
    assert_int_equal(version_restore(database, id, &actor_host, NULL), 0);
    assert_true(database_version_epoch(database) > epoch);
    assert_int_equal(version_trash(database, id, &actor_host, NULL, false, NULL, NULL), 0);
    epoch = database_version_epoch(database);
    assert_int_equal(open_again(database, "1", 1000), PUSH_ANSWER_EXISTS);
    assert_true(database_version_epoch(database) > epoch);
    assert_int_equal(version_trash(database, id, &actor_host, NULL, false, NULL, NULL), 0);
    epoch = database_version_epoch(database);
    assert_int_equal(version_purge(database, id, INT64_MAX, &actor_host, NULL), 0);
    assert_true(database_version_epoch(database) > epoch);
    epoch = database_version_epoch(database);
    look(database, "1", -ESTALE);
    assert_true(database_version_epoch(database) == epoch);
}

static void a_lease_of_a_token_is_found_until_it_ends(void **state)
{
    struct database *database = DB(state);
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    int64_t until_s = -1;

    assert_int_equal(version_leased_to(database, id, FIXTURE_TOKEN, &until_s, NULL), 0);
    assert_int_equal(until_s, 0);
    assert_true(fixture_run(database, "INSERT INTO leases SELECT '" FIXTURE_TOKEN "', 'h', '/', id,"
                                      " 'pull', 'ready', 1, 1, 99999999999 FROM versions") >= 0);
    assert_int_equal(version_leased_to(database, id, FIXTURE_TOKEN, &until_s, NULL), 0);
    assert_int_equal(until_s, 99999999999);
    assert_int_equal(version_leased_to(database, id, FIXTURE_OTHER, &until_s, NULL), 0);
    assert_int_equal(until_s, 0);
    assert_true(fixture_run(database, "UPDATE leases SET expires_at = 1") >= 0);
    assert_int_equal(version_leased_to(database, id, FIXTURE_TOKEN, &until_s, NULL), 0);
    assert_int_equal(until_s, 0);
}

static void a_version_is_changed_and_tells_once(void **state)
{
    struct database *database = DB(state);
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    struct version_change change = { .set_pinned = true,
                                     .pinned = true,
                                     .set_labels = true,
                                     .labels = "{\"k\":\"v\"}",
                                     .set_note = true,
                                     .note = "a note",
                                     .by = { .name = "root" } };
    struct version version = version_empty();

    for (int i = 0; i < 2; i++) { /* the second time nothing is another */
        assert_int_equal(version_change(database, id, &change, &version, NULL), 0);
        assert_true(version.pinned);
        assert_string_equal(version.metadata.labels, "{\"k\":\"v\"}");
        assert_string_equal(version.note, "a note");
        version_release(&version);
    }
    change = (struct version_change){ .set_note = true, .by = { .name = "root" } };
    assert_int_equal(version_change(database, id, &change, &version, NULL), 0);
    assert_true(version.pinned);
    assert_string_equal(version.metadata.labels, "{\"k\":\"v\"}");
    assert_null(version.note);
    version_release(&version);
    assert_int_equal(fixture_integer(database,
                                     "SELECT count(*) FROM events WHERE type = 'version.changed'"),
                     2);
    assert_int_equal(fixture_integer(database,
                                     "SELECT count(*) FROM audit WHERE operation ="
                                     " 'version.change' AND data ="
                                     " '{\"pinned\":true,\"labels\":true,\"note\":\"a note\"}'"),
                     1);
    assert_int_equal(version_change(database, 99, &change, &version, NULL), -ENOENT);
}

static void a_push_of_the_same_content_restores_from_the_trash(void **state)
{
    struct database *database = DB(state);
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 1);

    assert_int_equal(version_trash(database, id, &actor_host, NULL, false, NULL, NULL), 0);
    assert_int_equal(open_again(database, "1", 2000), PUSH_ANSWER_CONFLICT);
    assert_int_equal(state_of(database, "1"), VERSION_TRASHED);
    assert_int_equal(open_again(database, "1", 1000), PUSH_ANSWER_EXISTS);
    assert_int_equal(state_of(database, "1"), VERSION_READY);
}

static void purging_needs_the_trash_and_leaves_candidates(void **state)
{
    struct database *database = DB(state);
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 3);

    assert_int_equal(version_purge(database, id, INT64_MAX, &actor_host, NULL), -EBUSY);
    assert_int_equal(version_trash(database, id, &actor_host, NULL, false, NULL, NULL), 0);
    assert_int_equal(version_purge(database, id, INT64_MAX, &actor_host, NULL), 0);
    look(database, "1", -ESTALE);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM gc_candidates"), 6);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM version_blobs"), 0);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM blobs WHERE state = 'live'"),
                     6);
    assert_int_equal(version_purge(database, id, INT64_MAX, &actor_host, NULL), -ENOENT);
}

static void a_purged_name_is_spent_for_ever(void **state)
{
    struct database *database = DB(state);
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 3);
    int64_t again;

    assert_int_equal(version_trash(database, id, &actor_host, NULL, false, NULL, NULL), 0);
    assert_int_equal(version_purge(database, id, INT64_MAX, &actor_host, NULL), 0);
    assert_int_equal(open_again(database, "1", 2000), PUSH_ANSWER_CONFLICT);
    assert_int_equal(open_again(database, "1", 1000), PUSH_ANSWER_OPENED);
    again = fixture_version(database, "shop", "api", "1", 1000, 0, 3);
    assert_true(again > id); /* row ids are not used again either */
    look(database, "1", 0);
}

static void a_name_is_spent_beyond_its_app_and_project(void **state)
{
    struct database *database = DB(state);
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 1);

    assert_int_equal(version_trash(database, id, &actor_host, NULL, false, NULL, NULL), 0);
    assert_int_equal(version_purge(database, id, INT64_MAX, &actor_host, NULL), 0);
    assert_true(fixture_run(database, "DELETE FROM pushes") >= 0);
    assert_true(fixture_run(database, "DELETE FROM apps") >= 0);
    assert_true(fixture_run(database, "DELETE FROM projects") >= 0);
    look(database, "1", -ESTALE);
    assert_int_equal(open_again(database, "1", 2000), PUSH_ANSWER_CONFLICT);
    assert_int_equal(open_again(database, "1", 1000), PUSH_ANSWER_OPENED);
}

static struct push_result copy_as(struct database *database, int64_t from, const char *app,
                                  const char *version)
{
    const struct version_copy copy = {
        .from_id = from, .project = "shop", .app = app, .version = version, .by = actor_host
    };
    struct push_result result = { 0 };

    assert_int_equal(version_copy(database, &copy, &result, NULL), 0);
    return result;
}

static void a_copy_has_edges_of_its_own(void **state)
{
    struct database *database = DB(state);
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 3);
    int64_t other = fixture_version(database, "shop", "api", "2", 2000, 3, 3);
    struct push_result result = copy_as(database, id, "web", "9");

    assert_int_equal(result.answer, PUSH_ANSWER_CREATED);
    assert_string_equal(result.version.app, "web");
    assert_string_equal(result.version.name, "9");
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM version_blobs e JOIN apps a"
                                               " ON a.id = e.app_id WHERE a.name = 'web'"),
                     6);
    push_result_release(&result);
    result = copy_as(database, id, "web", "9");
    assert_int_equal(result.answer, PUSH_ANSWER_EXISTS);
    push_result_release(&result);
    result = copy_as(database, other, "web", "9");
    assert_int_equal(result.answer, PUSH_ANSWER_CONFLICT);
    push_result_release(&result);
    /* A copy of what has lost something would be a second one that is broken. */
    assert_true(fixture_run(database, "UPDATE blobs SET state = 'missing' WHERE size = 1001") >= 0);
    assert_int_equal(version_copy(database,
                                  &(struct version_copy){ .from_id = id,
                                                          .project = "shop",
                                                          .app = "web",
                                                          .version = "11",
                                                          .by = actor_host },
                                  &result, NULL),
                     -EIO);
    assert_true(fixture_run(database, "UPDATE blobs SET state = 'live' WHERE size = 1001") >= 0);
    assert_int_equal(version_trash(database, id, &actor_host, NULL, false, NULL, NULL), 0);
    assert_int_equal(version_purge(database, id, INT64_MAX, &actor_host, NULL), 0);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM version_blobs"), 12);
    assert_int_equal(version_copy(database,
                                  &(struct version_copy){ .from_id = id,
                                                          .project = "shop",
                                                          .app = "web",
                                                          .version = "10",
                                                          .by = actor_host },
                                  &result, NULL),
                     -ENOENT);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(a_copy_has_edges_of_its_own),
        CASE(a_version_is_found_with_all_that_was_said),
        CASE(only_its_own_blobs_belong_to_a_version),
        CASE(lists_are_newest_first_and_go_on_behind_a_row),
        CASE(latest_is_the_live_one_else_the_newest),
        CASE(the_trash_is_not_listed_but_resolves),
        CASE(promoted_and_previous_and_pinned_are_not_trashed),
        CASE(what_protects_a_version_is_told),
        CASE(the_trash_tells_who_and_why_last_first),
        CASE(the_epoch_moves_with_the_trash),
        CASE(a_lease_of_a_token_is_found_until_it_ends),
        CASE(a_version_is_changed_and_tells_once),
        CASE(a_push_of_the_same_content_restores_from_the_trash),
        CASE(purging_needs_the_trash_and_leaves_candidates),
        CASE(a_purged_name_is_spent_for_ever),
        CASE(a_name_is_spent_beyond_its_app_and_project),
    };

    return cmocka_run_group_tests_name("versions", tests, NULL, NULL);
}
