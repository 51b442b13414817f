/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "server/db/blob_bases.h"
#include "server/db/tests/fixture.h"
#include "server/db/tombstones.h"

#define DB(state) (((struct fixture *)*(state))->database)

static const struct blob_scope scope_all = { .token_id = FIXTURE_TOKEN };
static const struct blob_scope scope_other = { .token_id = FIXTURE_OTHER };

static struct blob blob_of(struct database *database, int64_t number, unsigned n)
{
    struct digest sha256 = fixture_digest(n);
    struct push_blob found;

    assert_int_equal(push_blob_get(database, number, &sha256, &found, NULL), 0);
    return found.blob;
}

static size_t tombstone_count(struct database *database)
{
    struct tombstone *items;
    size_t count;

    assert_int_equal(tombstone_list(database, 100, &items, &count, NULL), 0);
    memory_free(items);
    return count;
}

/* What is asked for together and one by one has the same answers. */
#define BOTH_WAYS(name, check)                  \
    static void name(void **state)              \
    {                                           \
        check(DB(state), FIXTURE_ASCENDING);    \
    }                                           \
    static void name##_one_by_one(void **state) \
    {                                           \
        check(DB(state), FIXTURE_DESCENDING);   \
    }

static void a_push_is_seen_by_its_token_alone(void **state)
{
    struct push_opening opening = { .project = "shop",
                                    .app = "api",
                                    .token_id = FIXTURE_TOKEN,
                                    .version = "1.0",
                                    .metadata = "{}",
                                    .base = "0.9" };
    struct push_result result = { 0 };
    struct push push = push_empty();

    assert_int_equal(push_open(DB(state), &opening, &result, NULL), 0);
    assert_int_equal(result.answer, PUSH_ANSWER_OPENED);
    assert_int_equal(push_get(DB(state), "shop", "api", result.push.id, FIXTURE_TOKEN, &push, NULL),
                     0);
    assert_string_equal(push.version, "1.0");
    assert_string_equal(push.metadata, "{}");
    assert_string_equal(push.base, "0.9");
    assert_false(push.has_content);
    assert_int_equal(push.listing_blob_id, 0);
    push_release(&push);
    assert_int_equal(push_get(DB(state), "shop", "api", result.push.id, FIXTURE_OTHER, &push, NULL),
                     -ENOENT);
    assert_int_equal(push_get(DB(state), "shop", "ui", result.push.id, FIXTURE_TOKEN, &push, NULL),
                     -ENOENT);
    push_result_release(&result);
}

static void every_wanted_blob_has_a_row_and_a_key_before_its_bytes(void **state)
{
    int64_t number = fixture_push(DB(state), "shop", "api", FIXTURE_TOKEN);
    struct blob first;
    struct blob second;

    assert_int_equal(fixture_want_range(DB(state), number, NULL, 0, 100), 100);
    first = blob_of(DB(state), number, 0);
    second = blob_of(DB(state), number, 1);
    assert_int_equal(first.state, BLOB_UPLOADING);
    assert_int_equal(first.size, 1000);
    assert_int_equal(strlen(first.key), 32);
    assert_string_not_equal(first.key, second.key);
    /* asking again changes nothing */
    assert_int_equal(fixture_want_range(DB(state), number, NULL, 0, 100), 100);
    assert_string_equal(blob_of(DB(state), number, 0).key, first.key);
}

static void another_size_of_a_digest_is_refused(void **state)
{
    int64_t number = fixture_push(DB(state), "shop", "api", FIXTURE_TOKEN);
    struct blob_want wants[2] = { fixture_want(0), fixture_want(0) };
    bool missing[2];

    wants[1].size++;
    assert_int_equal(push_blobs_want(DB(state), number, &scope_all, wants, 2, missing, NULL),
                     -EINVAL);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM push_blobs"), 0);
}

/* Some that are there, some that this push is uploading, some that nobody has. */
static void check_mixed(struct database *database, enum fixture_order order)
{
    struct blob_want wants[] = { fixture_want(0), fixture_want(3), fixture_want(10),
                                 fixture_want(11), fixture_want(20) };
    const size_t count = sizeof(wants) / sizeof(wants[0]);
    bool missing[sizeof(wants) / sizeof(wants[0])];
    char key[BLOB_STORAGE_KEY_SIZE];
    int64_t number;

    fixture_version(database, "shop", "api", "1", 1000, 0, 4);
    number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    assert_int_equal(fixture_want_ordered(database, number, NULL, 10, 2, order), 2);
    memcpy(key, blob_of(database, number, 10).key, sizeof(key));
    fixture_wants_sort(wants, count, order);
    memset(missing, 2, sizeof(missing));
    assert_int_equal(push_blobs_want(database, number, &scope_all, wants, count, missing, NULL), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(missing[i], wants[i].size >= fixture_want(10).size);
    assert_string_equal(blob_of(database, number, 10).key, key);
    assert_int_equal(blob_of(database, number, 3).state, BLOB_LIVE);
    assert_int_equal(blob_of(database, number, 20).state, BLOB_UPLOADING);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM push_blobs"), count);
}

BOTH_WAYS(mixed_wants_each_have_their_answer, check_mixed)

static void check_other_sizes(struct database *database, enum fixture_order order)
{
    /* a file and a tree that are there, and one that this push is uploading */
    static const unsigned wrong[] = { 0, 1002, 10 };
    int64_t number;

    fixture_version(database, "shop", "api", "1", 1000, 0, 4);
    number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    assert_int_equal(fixture_want_ordered(database, number, NULL, 10, 2, order), 2);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct blob_want wants[] = { fixture_want(wrong[i]), fixture_want(2), fixture_want(21) };
        bool missing[3];

        wants[0].size++;
        fixture_wants_sort(wants, 3, order);
        assert_int_equal(push_blobs_want(database, number, &scope_all, wants, 3, missing, NULL),
                         -EINVAL);
        /* nothing of the others is held either */
        assert_int_equal(fixture_integer(database, "SELECT count(*) FROM push_blobs"), 2);
    }
}

BOTH_WAYS(another_size_of_what_is_there_is_refused, check_other_sizes)

static void what_is_not_wanted_cannot_be_sent(void **state)
{
    int64_t number = fixture_push(DB(state), "shop", "api", FIXTURE_TOKEN);
    struct blob_done done = { fixture_digest(7), fixture_digest(8) };
    struct push_blob found;

    assert_int_equal(push_blobs_done(DB(state), number, &done, 1, NULL), -ENOENT);
    assert_int_equal(push_blob_get(DB(state), number, &done.sha256, &found, NULL), -ENOENT);
    assert_int_equal(push_blob_progress(DB(state), number, &done.sha256, 1, span_of("", 0), NULL),
                     -ENOENT);
}

static void progress_is_kept(void **state)
{
    int64_t number = fixture_push(DB(state), "shop", "api", FIXTURE_TOKEN);
    struct digest sha256 = fixture_digest(3);
    uint8_t hash[DIGEST_SAVED_SIZE];
    struct push_blob found;

    memset(hash, 7, sizeof(hash));
    fixture_want_range(DB(state), number, NULL, 3, 1);
    assert_int_equal(push_blob_get(DB(state), number, &sha256, &found, NULL), 0);
    assert_false(found.has_hash);
    assert_int_equal(found.received, 0);
    assert_int_equal(push_blob_progress(DB(state), number, &sha256, 512,
                                        span_of(hash, sizeof(hash)), NULL),
                     0);
    fixture_reopen(*state);
    assert_int_equal(push_blob_get(DB(state), number, &sha256, &found, NULL), 0);
    assert_true(found.has_hash);
    assert_int_equal(found.received, 512);
    assert_memory_equal(found.hash, hash, sizeof(hash));
}

static void check_sight(struct database *database, enum fixture_order order)
{
    struct blob_scope same_app = { "shop", "api", FIXTURE_OTHER };
    struct blob_scope same_project = { "shop", NULL, FIXTURE_OTHER };
    struct blob_scope other_app = { "shop", "ui", FIXTURE_OTHER };
    struct blob_scope other_project = { "bank", NULL, FIXTURE_OTHER };
    struct blob_scope unknown = { "nowhere", "nothing", FIXTURE_OTHER };
    int64_t number;

    fixture_version(database, "shop", "api", "1", 1000, 0, 10);
    number = fixture_push(database, "bank", "web", FIXTURE_OTHER);
    assert_int_equal(fixture_want_ordered(database, number, &other_project, 0, 2, order), 2);
    assert_int_equal(fixture_want_ordered(database, number, &other_app, 2, 2, order), 2);
    assert_int_equal(fixture_want_ordered(database, number, &unknown, 4, 2, order), 2);
    assert_int_equal(fixture_want_ordered(database, number, &same_project, 6, 2, order), 0);
    assert_int_equal(fixture_want_ordered(database, number, &same_app, 8, 2, order), 0);
    assert_int_equal(blob_of(database, number, 8).state, BLOB_LIVE);
}

BOTH_WAYS(a_version_s_blobs_are_had_by_those_who_see_it, check_sight)

static void what_is_there_but_not_had_is_sent_and_joined(void **state)
{
    struct blob_scope elsewhere = { "bank", NULL, FIXTURE_OTHER };
    struct database *database = DB(state);
    struct blob before;
    struct blob mine;
    int64_t number;
    int64_t id;

    id = fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    before.sha256 = fixture_digest(0);
    assert_int_equal(blob_of_version(database, id, &before.sha256, &before, NULL), 0);
    number = fixture_push(database, "bank", "web", FIXTURE_OTHER);
    assert_int_equal(fixture_want_range(database, number, &elsewhere, 0, 1), 1);
    mine = blob_of(database, number, 0);
    assert_string_not_equal(mine.key, before.key);
    fixture_send(database, number, 0);
    mine = blob_of(database, number, 0);
    assert_int_equal(mine.id, before.id);
    assert_string_equal(mine.key, before.key);
    assert_int_equal(tombstone_count(database), 1); /* the surplus object */
    fixture_send(database, number, 0);              /* again is fine */
    assert_int_equal(tombstone_count(database), 1);
}

static void check_sent(struct database *database, enum fixture_order order)
{
    int64_t first = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    int64_t second = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    int64_t foreign = fixture_push(database, "shop", "api", FIXTURE_OTHER);

    fixture_want_ordered(database, first, NULL, 0, 4, order);
    fixture_send_range(database, first, 0, 2);
    assert_int_equal(fixture_want_ordered(database, second, NULL, 0, 4, order), 2);
    assert_int_equal(fixture_want_ordered(database, foreign, &scope_other, 0, 4, order), 4);
}

BOTH_WAYS(what_a_token_sent_in_an_open_push_it_has, check_sent)

static void a_hold_without_size_needs_sight(void **state)
{
    struct blob_scope elsewhere = { "bank", NULL, FIXTURE_OTHER };
    struct database *database = DB(state);
    struct digest listing = fixture_digest(1000);
    struct blob blob;
    int64_t number;

    fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    number = fixture_push(database, "shop", "api", FIXTURE_OTHER);
    assert_int_equal(push_blob_hold(database, number, &elsewhere, &listing, &blob, NULL), -ENOENT);
    assert_int_equal(push_blob_hold(database, number, &scope_other, &listing, &blob, NULL), 0);
    assert_int_equal(blob.size, 2000);
    assert_int_equal(push_part_set(database, number, PUSH_PART_LISTING, &listing, NULL), 0);
}

static void check_condemned(struct database *database, enum fixture_order order)
{
    int64_t number;

    fixture_version(database, "shop", "api", "1", 1000, 0, 3);
    assert_true(fixture_run(database, "UPDATE blobs SET state = 'condemned'") >= 0);
    number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    assert_int_equal(fixture_want_ordered(database, number, NULL, 0, 2, order), 0);
    assert_int_equal(blob_of(database, number, 0).state, BLOB_LIVE);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM blobs WHERE state = 'live'"),
                     2);
}

BOTH_WAYS(a_hold_brings_the_condemned_back, check_condemned)

static void a_held_blob_cannot_be_dropped(void **state)
{
    struct database *database = DB(state);
    int64_t number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);

    fixture_want_range(database, number, NULL, 0, 2);
    assert_int_equal(fixture_run(database, "DELETE FROM blobs"), -EBUSY);
    assert_int_equal(push_abandon(database, number, NULL), 0);
    fixture_version(database, "shop", "api", "1", 1000, 0, 2);
    assert_int_equal(fixture_run(database, "DELETE FROM blobs"), -EBUSY); /* edges hold as well */
}

static void a_base_is_found_within_the_scope(void **state)
{
    static const struct {
        const char *project, *app;
        int result;
    } cases[] = {
        { NULL, NULL, 0 },         { "shop", NULL, 0 },        { "shop", "api", 0 },
        { "bank", NULL, -ENOENT }, { "shop", "web", -ENOENT }, { "bank", "api", -ENOENT },
    };
    struct database *database = DB(state);
    struct digest sha256 = fixture_digest(0), unknown = fixture_digest(99);
    struct digest listing = fixture_digest(1000);
    struct blob blob;
    int64_t number;

    fixture_version(database, "shop", "api", "1", 1000, 0, 2);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(blob_base_find(database, cases[i].project, cases[i].app, &sha256, &blob,
                                        NULL),
                         cases[i].result);
        assert_int_equal(blob_base_find(database, cases[i].project, cases[i].app, &unknown, &blob,
                                        NULL),
                         -ENOENT);
    }
    assert_int_equal(blob_base_find(database, "shop", "api", &listing, &blob, NULL), 0);
    assert_true(digest_equal(&blob.sha256, &listing));
    /* What is sent in a push is no version's yet; what the store lost is no base. */
    number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    fixture_want_range(database, number, NULL, 5, 6);
    fixture_send(database, number, 5);
    unknown = fixture_digest(5);
    assert_int_equal(blob_base_find(database, NULL, NULL, &unknown, &blob, NULL), -ENOENT);
    assert_int_equal(blob_base_find(database, NULL, NULL, &sha256, &blob, NULL), 0);
    assert_int_equal(blob_report(database, blob.id, blob.key, BLOB_CORRUPT, NULL), 0);
    assert_int_equal(blob_base_find(database, NULL, NULL, &sha256, &blob, NULL), -ENOENT);
}

static void a_base_is_held_and_becomes_no_part_of_the_push(void **state)
{
    struct database *database = DB(state);
    struct digest sha256 = fixture_digest(0);
    struct push_blob found;
    uint64_t present, missing;
    struct blob blob;
    int64_t number;

    fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    assert_true(fixture_run(database, "UPDATE blobs SET state = 'condemned'") >= 0);
    assert_int_equal(blob_base_hold(database, number, "bank", NULL, &sha256, &blob, NULL), -ENOENT);
    assert_int_equal(blob_base_hold(database, number, "shop", "api", &sha256, &blob, NULL), 0);
    assert_int_equal(blob.state, BLOB_LIVE);
    assert_int_equal(blob_base_hold(database, number, NULL, NULL, &sha256, &blob, NULL), 0);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM push_bases"), 1);
    assert_int_equal(push_blob_get(database, number, &sha256, &found, NULL), -ENOENT);
    assert_int_equal(push_blob_count(database, number, &present, &missing, NULL), 0);
    assert_int_equal(present + missing, 0);
    /* Without any edge it is still held; with the push it becomes a candidate. */
    assert_true(fixture_run(database, "DELETE FROM version_blobs") >= 0);
    assert_true(fixture_run(database, "DELETE FROM gc_candidates") >= 0);
    assert_int_equal(fixture_run(database, "DELETE FROM blobs WHERE id ="
                                           " (SELECT blob_id FROM push_bases)"),
                     -EBUSY);
    assert_int_equal(push_abandon(database, number, NULL), 0);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM push_bases"), 0);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM gc_candidates"), 1);
    assert_int_equal(blob_base_hold(database, number, NULL, NULL, &sha256, &blob, NULL), -ENOENT);
}

static void keys_are_never_used_again(void **state)
{
    struct database *database = DB(state);
    int64_t number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    struct blob first;

    fixture_want_range(database, number, NULL, 0, 1);
    first = blob_of(database, number, 0);
    assert_int_equal(push_abandon(database, number, NULL), 0);
    number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    fixture_want_range(database, number, NULL, 0, 1);
    assert_string_not_equal(blob_of(database, number, 0).key, first.key);
    assert_true(blob_of(database, number, 0).id > first.id);
}

static void check_lost(struct database *database, enum fixture_order order)
{
    struct digest sha256 = fixture_digest(0);
    struct blob before;
    struct blob after;
    int64_t number;
    int64_t id;

    id = fixture_version(database, "shop", "api", "1", 1000, 0, 2);
    assert_int_equal(blob_of_version(database, id, &sha256, &before, NULL), 0);
    assert_int_equal(blob_report(database, before.id, "another key", BLOB_MISSING, NULL), 0);
    assert_int_equal(blob_get(database, before.id, &after, NULL), 0);
    assert_int_equal(after.state, BLOB_LIVE);
    assert_int_equal(blob_report(database, before.id, before.key, BLOB_MISSING, NULL), 0);
    number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    assert_int_equal(fixture_want_ordered(database, number, NULL, 0, 2, order), 1);
    fixture_send(database, number, 0);
    assert_int_equal(blob_of_version(database, id, &sha256, &after, NULL), 0);
    assert_int_equal(after.id, before.id);
    assert_int_equal(after.state, BLOB_LIVE);
    assert_string_not_equal(after.key, before.key);
    assert_int_equal(tombstone_count(database), 1);
}

BOTH_WAYS(a_lost_blob_is_healed_under_a_new_key, check_lost)

static void a_blob_lost_while_held_is_asked_for_again(void **state)
{
    struct database *database = DB(state);
    struct blob held;
    int64_t number;

    fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    assert_int_equal(fixture_want_range(database, number, NULL, 0, 1), 0);
    held = blob_of(database, number, 0);
    assert_int_equal(blob_report(database, held.id, held.key, BLOB_CORRUPT, NULL), 0);
    assert_int_equal(blob_of(database, number, 0).state, BLOB_UPLOADING);
    fixture_send(database, number, 0);
    held = blob_of(database, number, 0);
    assert_int_equal(held.state, BLOB_LIVE);
}

struct walked {
    unsigned count;
    struct digest last;
};

static int walk_missing(void *context, const struct digest *sha256, uint64_t size,
                        struct error *err)
{
    struct walked *walked = context;

    assert_true(walked->count == 0 || digest_compare(&walked->last, sha256) < 0);
    walked->last = *sha256;
    walked->count++;
    return 0;
}

static int walk_present(void *context, const struct blob *blob, struct error *err)
{
    return walk_missing(context, &blob->sha256, blob->size, err);
}

static int walk_stop(void *context, const struct digest *sha256, uint64_t size, struct error *err)
{
    return -ECANCELED;
}

static void missing_and_present_are_walked_in_order(void **state)
{
    struct database *database = DB(state);
    int64_t number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    struct walked missing = { 0 };
    struct walked present = { 0 };
    uint64_t present_count;
    uint64_t missing_count;

    fixture_want_range(database, number, NULL, 0, 20);
    fixture_send_range(database, number, 0, 8);
    assert_int_equal(push_missing_walk(database, number, walk_missing, &missing, NULL), 0);
    assert_int_equal(push_present_walk(database, number, walk_present, &present, NULL), 0);
    assert_int_equal(missing.count, 12);
    assert_int_equal(present.count, 8);
    assert_int_equal(push_blob_count(database, number, &present_count, &missing_count, NULL), 0);
    assert_int_equal(present_count, 8);
    assert_int_equal(missing_count, 12);
    assert_int_equal(push_missing_walk(database, number, walk_stop, NULL, NULL), -ECANCELED);
}

static void a_commit_says_what_is_missing(void **state)
{
    struct database *database = DB(state);
    int64_t number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    struct push_result result = { 0 };
    struct push_commit commit = { .number = number,
                                  .version = "1",
                                  .content = fixture_digest(1000) };

    fixture_want_range(database, number, NULL, 0, 5);
    fixture_send_range(database, number, 0, 3);
    assert_int_equal(push_commit(database, &commit, &result, NULL), 0);
    assert_int_equal(result.answer, PUSH_ANSWER_MISSING);
    assert_int_equal(result.missing, 5); /* two files, listing, times, tree */
    commit = fixture_parts(database, number, 1000, "1");
    assert_int_equal(push_commit(database, &commit, &result, NULL), 0);
    assert_int_equal(result.missing, 2);
    fixture_send_range(database, number, 3, 2);
    commit.by.address = "192.0.2.7";
    commit.by.request_id = "request-7";
    assert_int_equal(fixture_integer(database,
                                     "SELECT count(*) FROM audit WHERE version IS NOT NULL"),
                     0);
    assert_int_equal(push_commit(database, &commit, &result, NULL), 0);
    assert_int_equal(result.answer, PUSH_ANSWER_CREATED);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM audit WHERE version = '1'"
                                               " AND operation = 'version.create'"
                                               " AND address = '192.0.2.7'"
                                               " AND request_id = 'request-7'"),
                     1);
    assert_string_equal(result.version.name, "1");
    assert_string_equal(result.version.pushed_by, "ci");
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM version_blobs"), 8);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM push_blobs"), 0);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM pushes"), 0);
    push_result_release(&result);
    assert_int_equal(push_commit(database, &commit, &result, NULL), -ENOENT);
}

static void a_wrong_size_counts_as_missing(void **state)
{
    struct database *database = DB(state);
    int64_t number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    struct push_commit commit = fixture_parts(database, number, 1000, "1");
    struct push_result result = { 0 };

    assert_true(fixture_run(database, "UPDATE blobs SET size = size + 1 WHERE size = 2000") >= 0);
    assert_int_equal(push_commit(database, &commit, &result, NULL), 0);
    assert_int_equal(result.answer, PUSH_ANSWER_MISSING);
    assert_int_equal(result.missing, 1);
}

static void other_parts_than_the_push_s_are_refused(void **state)
{
    struct database *database = DB(state);
    int64_t number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    struct push_commit commit = fixture_parts(database, number, 1000, "1");
    struct digest other = fixture_digest(1001);
    struct push_result result = { 0 };

    commit.content = fixture_digest(5);
    assert_int_equal(push_commit(database, &commit, &result, NULL), -EINVAL);
    assert_int_equal(push_part_set(database, number, PUSH_PART_LISTING, &other, NULL), -EEXIST);
    other = fixture_digest(77);
    assert_int_equal(push_part_set(database, number, PUSH_PART_TREE, &other, NULL), -ENOENT);
}

static void two_pushes_of_one_name_the_first_commit_wins(void **state)
{
    struct database *database = DB(state);
    int64_t first = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    int64_t same = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    int64_t other = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    struct push_commit commit = fixture_parts(database, first, 1000, "1");
    struct push_result result = { 0 };
    struct digest content = commit.content;

    assert_int_equal(push_commit(database, &commit, &result, NULL), 0);
    assert_int_equal(result.answer, PUSH_ANSWER_CREATED);
    push_result_release(&result);
    commit = fixture_parts(database, same, 1000, "1");
    assert_int_equal(push_commit(database, &commit, &result, NULL), 0);
    assert_int_equal(result.answer, PUSH_ANSWER_EXISTS);
    push_result_release(&result);
    commit = fixture_parts(database, other, 2000, "1");
    assert_int_equal(push_commit(database, &commit, &result, NULL), 0);
    assert_int_equal(result.answer, PUSH_ANSWER_CONFLICT);
    assert_true(digest_equal(&result.existing, &content));
    push_result_release(&result);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM versions"), 1);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM pushes"),
                     1); /* the refused one */
}

static void opening_with_name_and_content_is_answered_at_once(void **state)
{
    struct database *database = DB(state);
    struct digest content = fixture_digest(1000);
    struct digest other = fixture_digest(2000);
    struct push_opening opening = { .project = "shop",
                                    .app = "api",
                                    .token_id = FIXTURE_TOKEN,
                                    .version = "1",
                                    .content = &content };
    struct push_result result = { 0 };

    fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    assert_int_equal(push_open(database, &opening, &result, NULL), 0);
    assert_int_equal(result.answer, PUSH_ANSWER_EXISTS);
    assert_string_equal(result.version.name, "1");
    push_result_release(&result);
    opening.content = &other;
    assert_int_equal(push_open(database, &opening, &result, NULL), 0);
    assert_int_equal(result.answer, PUSH_ANSWER_CONFLICT);
    assert_true(digest_equal(&result.existing, &content));
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM pushes"), 0);
}

static void a_lease_is_renewed_but_not_for_ever(void **state)
{
    struct push_opening opening = { .project = "shop", .app = "api", .token_id = FIXTURE_TOKEN };
    struct database *database = DB(state);
    struct push_result result = { 0 };
    struct push *push = &result.push;
    int64_t start = fixture_now;

    assert_int_equal(push_open(database, &opening, &result, NULL), 0);
    assert_int_equal(push->expires_at_s, start + PUSH_LEASE_S);
    fixture_now += 30;
    assert_int_equal(push_renew(database, push, NULL), 0);
    assert_int_equal(push->expires_at_s, start + PUSH_LEASE_S);
    for (int hour = 5; hour < 24; hour += 5) {
        fixture_now = start + hour * 3600;
        assert_int_equal(push_renew(database, push, NULL), 0);
    }
    assert_int_equal(push->expires_at_s, start + PUSH_LIFE_S);
    fixture_now = start + PUSH_LIFE_S;
    assert_int_equal(push_get(database, "shop", "api", push->id, FIXTURE_TOKEN, push, NULL),
                     -ENOENT);
    push_result_release(&result);
}

static void the_end_of_a_lease_takes_holds_and_leaves_candidates(void **state)
{
    struct database *database = DB(state);
    int64_t number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    struct digest wanted = fixture_digest(0);
    struct blob_want want = fixture_want(50);
    struct push_blob found;
    bool missing;
    size_t count;

    fixture_want_range(database, number, NULL, 0, 5);
    fixture_send_range(database, number, 0, 2);
    assert_int_equal(push_expire(database, 10, &count, NULL), 0);
    assert_int_equal(count, 0);
    fixture_now += PUSH_LEASE_S;
    assert_int_equal(push_blob_get(database, number, &wanted, &found, NULL), -ENOENT);
    assert_int_equal(push_blobs_want(database, number, &scope_all, &want, 1, &missing, NULL),
                     -ENOENT);
    assert_int_equal(push_expire(database, 10, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM push_blobs"), 0);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM blobs"), 2);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM gc_candidates"), 2);
    assert_int_equal(tombstone_count(database), 3);
}

static void tombstones_are_tried_again(void **state)
{
    struct database *database = DB(state);
    int64_t number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    struct tombstone *items;
    char failed[BLOB_STORAGE_KEY_SIZE];
    size_t count;

    fixture_want_range(database, number, NULL, 0, 3);
    assert_int_equal(push_abandon(database, number, NULL), 0);
    assert_int_equal(tombstone_list(database, 1, &items, &count, NULL), 0);
    assert_int_equal(count, 1);
    memcpy(failed, items[0].key, sizeof(failed));
    memory_free(items);
    assert_true(tombstone_failed(database, failed, "busy", NULL) >= 0);
    assert_int_equal(tombstone_list(database, 10, &items, &count, NULL), 0);
    assert_int_equal(count, 3);
    assert_string_equal(items[2].key, failed); /* behind those that were not tried */
    assert_int_equal(items[2].tries, 1);
    memory_free(items);
    assert_true(tombstone_done(database, failed, NULL) >= 0);
    assert_int_equal(tombstone_count(database), 2);
}

static void a_failed_batch_changes_nothing(void **state)
{
    struct database *database = DB(state);
    int64_t number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    struct blob_done done[2] = { { fixture_digest(0), fixture_digest(1) },
                                 { fixture_digest(99), fixture_digest(1) } };

    fixture_want_range(database, number, NULL, 0, 1);
    assert_int_equal(push_blobs_done(database, number, done, 2, NULL), -ENOENT);
    assert_int_equal(blob_of(database, number, 0).state, BLOB_UPLOADING);
}

static void a_push_of_an_unknown_token_is_refused(void **state)
{
    struct push_opening opening = { .project = "shop", .app = "api", .token_id = "nobodynobody" };
    struct push_result result = { 0 };

    assert_int_equal(push_open(DB(state), &opening, &result, NULL), -EBUSY);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM projects"), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(a_push_is_seen_by_its_token_alone),
        CASE(every_wanted_blob_has_a_row_and_a_key_before_its_bytes),
        CASE(another_size_of_a_digest_is_refused),
        CASE(mixed_wants_each_have_their_answer),
        CASE(mixed_wants_each_have_their_answer_one_by_one),
        CASE(another_size_of_what_is_there_is_refused),
        CASE(another_size_of_what_is_there_is_refused_one_by_one),
        CASE(what_is_not_wanted_cannot_be_sent),
        CASE(progress_is_kept),
        CASE(a_version_s_blobs_are_had_by_those_who_see_it),
        CASE(a_version_s_blobs_are_had_by_those_who_see_it_one_by_one),
        CASE(what_is_there_but_not_had_is_sent_and_joined),
        CASE(what_a_token_sent_in_an_open_push_it_has),
        CASE(what_a_token_sent_in_an_open_push_it_has_one_by_one),
        CASE(a_hold_without_size_needs_sight),
        CASE(a_hold_brings_the_condemned_back),
        CASE(a_hold_brings_the_condemned_back_one_by_one),
        CASE(a_held_blob_cannot_be_dropped),
        CASE(a_base_is_found_within_the_scope),
        CASE(a_base_is_held_and_becomes_no_part_of_the_push),
        CASE(keys_are_never_used_again),
        CASE(a_lost_blob_is_healed_under_a_new_key),
        CASE(a_lost_blob_is_healed_under_a_new_key_one_by_one),
        CASE(a_blob_lost_while_held_is_asked_for_again),
        CASE(missing_and_present_are_walked_in_order),
        CASE(a_commit_says_what_is_missing),
        CASE(a_wrong_size_counts_as_missing),
        CASE(other_parts_than_the_push_s_are_refused),
        CASE(two_pushes_of_one_name_the_first_commit_wins),
        CASE(opening_with_name_and_content_is_answered_at_once),
        CASE(a_lease_is_renewed_but_not_for_ever),
        CASE(the_end_of_a_lease_takes_holds_and_leaves_candidates),
        CASE(tombstones_are_tried_again),
        CASE(a_failed_batch_changes_nothing),
        CASE(a_push_of_an_unknown_token_is_refused),
    };

    return cmocka_run_group_tests_name("pushes", tests, NULL, NULL);
}
