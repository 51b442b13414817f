/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "server/db/push_new_blobs.h"
#include "server/db/tests/fixture.h"

#define DB(state) (((struct fixture *)*(state))->database)
#define NEW 7u /* the blob without a name in most tests */

static struct push_new_blob open_new(struct database *database, int64_t number, unsigned n)
{
    struct push_new_blob found;

    assert_int_equal(push_new_blob_open(database, number, NEW, fixture_want(n).size, &found, NULL),
                     0);
    assert_false(found.is_named);
    return found;
}

static int name_new(struct database *database, int64_t number, unsigned n)
{
    struct digest sha256 = fixture_digest(n);

    return push_new_blob_name(database, number, NEW, &sha256, NULL);
}

static struct push_blob row_of(struct database *database, int64_t number, unsigned n)
{
    struct digest sha256 = fixture_digest(n);
    struct push_blob found;

    assert_int_equal(push_blob_get(database, number, &sha256, &found, NULL), 0);
    return found;
}

static int64_t count_of(struct database *database, const char *table)
{
    char sql[64];

    assert_true(snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", table) < (int)sizeof(sql));
    return fixture_integer(database, sql);
}

static void one_is_opened_once(void **state)
{
    int64_t number = fixture_push(DB(state), "shop", "api", FIXTURE_TOKEN);
    struct push_new_blob first, again;
    uint64_t present, missing;

    assert_int_equal(push_new_blob_get(DB(state), number, NEW, &first, NULL), -ENOENT);
    first = open_new(DB(state), number, 1);
    assert_int_equal(first.row.blob.state, BLOB_UPLOADING);
    assert_int_equal(first.row.blob.size, 1001);
    assert_int_equal(first.row.received, 0);
    assert_false(first.row.has_hash);
    /* another size does not make another one */
    assert_int_equal(push_new_blob_open(DB(state), number, NEW, 5, &again, NULL), 0);
    assert_int_equal(again.row.blob.id, first.row.blob.id);
    assert_int_equal(again.row.blob.size, 1001);
    assert_string_equal(again.row.blob.key, first.row.blob.key);
    assert_int_equal(push_new_blob_open(DB(state), number, NEW + 1, 5, &again, NULL), 0);
    assert_string_not_equal(again.row.blob.key, first.row.blob.key);
    /* nobody waits for them */
    assert_int_equal(push_blob_count(DB(state), number, &present, &missing, NULL), 0);
    assert_int_equal(present + missing, 0);
}

static void pushes_have_their_own(void **state)
{
    int64_t number = fixture_push(DB(state), "shop", "api", FIXTURE_TOKEN);
    int64_t other = fixture_push(DB(state), "shop", "api", FIXTURE_TOKEN);
    struct digest mine = push_new_blob_stand_in(number, NEW);
    struct digest his = push_new_blob_stand_in(other, NEW);
    struct push_new_blob found;

    assert_false(digest_equal(&mine, &his));
    open_new(DB(state), number, 1);
    assert_int_equal(push_new_blob_get(DB(state), other, NEW, &found, NULL), -ENOENT);
    assert_int_equal(open_new(DB(state), other, 2).row.blob.size, 1002);
}

static void progress_is_kept_until_it_is_named(void **state)
{
    int64_t number = fixture_push(DB(state), "shop", "api", FIXTURE_TOKEN);
    uint8_t hash[DIGEST_SAVED_SIZE];
    struct push_new_blob found;
    struct push_blob row;

    memset(hash, 3, sizeof(hash));
    assert_int_equal(push_new_blob_progress(DB(state), number, NEW, 1, span_of(NULL, 0), NULL),
                     -ENOENT);
    open_new(DB(state), number, 1);
    assert_int_equal(push_new_blob_progress(DB(state), number, NEW, 500,
                                            span_of(hash, sizeof(hash)), NULL),
                     0);
    assert_int_equal(push_new_blob_get(DB(state), number, NEW, &found, NULL), 0);
    assert_int_equal(found.row.received, 500);
    assert_true(found.row.has_hash);
    assert_memory_equal(found.row.hash, hash, sizeof(hash));
    assert_int_equal(name_new(DB(state), number, 1), 0);
    row = row_of(DB(state), number, 1);
    assert_int_equal(row.blob.id, found.row.blob.id);
    assert_int_equal(row.received, 500);
    assert_memory_equal(row.hash, hash, sizeof(hash));
    assert_int_equal(push_new_blob_progress(DB(state), number, NEW, 600, span_of(NULL, 0), NULL),
                     -ENOENT);
    assert_int_equal(push_new_blob_get(DB(state), number, NEW, &found, NULL), 0);
    assert_true(found.is_named);
    assert_true(digest_equal(&found.sha256, &row.blob.sha256));
    /* twice is once, and the first name stays */
    assert_int_equal(name_new(DB(state), number, 2), 0);
    assert_int_equal(push_new_blob_get(DB(state), number, NEW, &found, NULL), 0);
    assert_true(digest_equal(&found.sha256, &row.blob.sha256));
}

static void a_named_one_is_wanted_like_others(void **state)
{
    struct database *database = DB(state);
    int64_t number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);

    open_new(database, number, 1);
    assert_int_equal(name_new(database, number, 1), 0);
    /* the listing comes: nothing new is made for it */
    assert_int_equal(fixture_want_range(database, number, NULL, 0, 3), 3);
    assert_int_equal(count_of(database, "blobs"), 3);
    fixture_send(database, number, 1);
    assert_int_equal(row_of(database, number, 1).blob.state, BLOB_LIVE);
    assert_int_equal(fixture_want_range(database, number, NULL, 0, 3), 2);
}

static void one_that_the_push_has_is_surplus(void **state)
{
    struct database *database = DB(state);
    int64_t number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    struct blob had;

    fixture_want_range(database, number, NULL, 1, 1);
    fixture_send(database, number, 1);
    had = row_of(database, number, 1).blob;
    open_new(database, number, 1);
    assert_int_equal(name_new(database, number, 1), 0);
    assert_int_equal(row_of(database, number, 1).blob.id, had.id);
    assert_int_equal(count_of(database, "blobs"), 1);
    assert_int_equal(count_of(database, "tombstones"), 1);
}

static void one_that_was_to_be_sent_takes_the_place(void **state)
{
    struct database *database = DB(state);
    int64_t number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    struct push_new_blob sent;

    fixture_want_range(database, number, NULL, 1, 1);
    sent = open_new(database, number, 1);
    assert_int_equal(name_new(database, number, 1), 0);
    assert_int_equal(row_of(database, number, 1).blob.id, sent.row.blob.id);
    assert_string_equal(row_of(database, number, 1).blob.key, sent.row.blob.key);
    assert_int_equal(count_of(database, "blobs"), 1);
    assert_int_equal(count_of(database, "tombstones"), 1);
}

static void one_that_was_lost_is_healed(void **state)
{
    struct database *database = DB(state);
    int64_t number;
    struct blob lost;
    struct push_new_blob sent;

    fixture_version(database, "shop", "api", "1", 1000, 1, 1);
    number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    assert_int_equal(fixture_want_range(database, number, NULL, 1, 1), 0);
    lost = row_of(database, number, 1).blob;
    assert_true(blob_report(database, lost.id, lost.key, BLOB_MISSING, NULL) >= 0);
    sent = open_new(database, number, 1);
    assert_int_equal(name_new(database, number, 1), 0);
    fixture_send(database, number, 1);
    assert_int_equal(row_of(database, number, 1).blob.id, lost.id);
    assert_string_equal(row_of(database, number, 1).blob.key, sent.row.blob.key);
    assert_int_equal(row_of(database, number, 1).blob.state, BLOB_LIVE);
}

static void another_size_than_the_push_s_is_refused(void **state)
{
    struct database *database = DB(state);
    int64_t number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    struct push_new_blob found;

    fixture_want_range(database, number, NULL, 1, 1);
    open_new(database, number, 2);
    assert_int_equal(name_new(database, number, 1), -EINVAL);
    assert_int_equal(push_new_blob_get(database, number, NEW, &found, NULL), 0);
    assert_false(found.is_named);
}

static void set_listing(struct database *database, int64_t number, unsigned n)
{
    struct digest sha256 = fixture_digest(n);

    fixture_want_range(database, number, NULL, n, 1);
    fixture_send(database, number, n);
    assert_int_equal(push_part_set(database, number, PUSH_PART_LISTING, &sha256, NULL), 0);
}

static void with_the_listing_there_only_what_it_names_comes(void **state)
{
    struct database *database = DB(state);
    int64_t number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);

    set_listing(database, number, 50);
    open_new(database, number, 1);
    assert_int_equal(name_new(database, number, 1), -ENOENT);
    fixture_want_range(database, number, NULL, 1, 1);
    assert_int_equal(name_new(database, number, 1), 0);
}

static int count_named(void *context, const struct digest *sha256, struct error *err)
{
    struct digest *seen = context;

    *seen = *sha256;
    return 0;
}

static void what_the_listing_does_not_name_is_let_go(void **state)
{
    struct database *database = DB(state);
    int64_t number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    struct digest seen = { 0 }, one = fixture_digest(1), listing = fixture_digest(50);
    struct push_blob row;

    open_new(database, number, 1);
    assert_int_equal(push_new_blob_walk(database, number, count_named, &seen, NULL), 0);
    assert_true(digest_equal(&seen, &(struct digest){ 0 })); /* it has no name */
    assert_int_equal(name_new(database, number, 1), 0);
    assert_int_equal(push_new_blob_walk(database, number, count_named, &seen, NULL), 0);
    assert_true(digest_equal(&seen, &one));
    fixture_send(database, number, 1);
    set_listing(database, number, 50);
    assert_int_equal(push_blob_drop(database, number, &one, NULL), 0);
    assert_int_equal(push_blob_get(database, number, &one, &row, NULL), -ENOENT);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM gc_candidates"), 1);
    /* what did not come as a new blob stays, whatever is asked */
    assert_int_equal(push_blob_drop(database, number, &listing, NULL), 0);
    assert_int_equal(push_blob_get(database, number, &listing, &row, NULL), 0);
}

static void what_was_cut_off_and_is_not_wanted_goes_at_once(void **state)
{
    struct database *database = DB(state);
    int64_t number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    struct digest one = fixture_digest(1);
    uint64_t present, missing;

    open_new(database, number, 1);
    assert_int_equal(name_new(database, number, 1), 0);
    set_listing(database, number, 50);
    assert_int_equal(push_blob_drop(database, number, &one, NULL), 0);
    assert_int_equal(push_blob_count(database, number, &present, &missing, NULL), 0);
    assert_int_equal(present, 1);
    assert_int_equal(missing, 0);
    assert_int_equal(count_of(database, "blobs"), 1);
    assert_int_equal(count_of(database, "tombstones"), 1);
    assert_int_equal(count_of(database, "gc_candidates"), 0);
}

static void a_listing_that_came_as_a_new_blob_stays(void **state)
{
    struct database *database = DB(state);
    int64_t number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    struct digest listing = fixture_digest(1);
    struct push_blob row;

    open_new(database, number, 1);
    assert_int_equal(name_new(database, number, 1), 0);
    set_listing(database, number, 1);
    assert_int_equal(push_blob_drop(database, number, &listing, NULL), 0);
    assert_int_equal(push_blob_get(database, number, &listing, &row, NULL), 0);
}

static void the_end_of_the_push_takes_all(void **state)
{
    struct database *database = DB(state);
    int64_t number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    struct push_new_blob found;

    open_new(database, number, 1);
    assert_int_equal(name_new(database, number, 1), 0);
    assert_int_equal(push_new_blob_open(database, number, NEW + 1, 5, &found, NULL), 0);
    assert_int_equal(push_abandon(database, number, NULL), 0);
    assert_int_equal(count_of(database, "blobs"), 0);
    assert_int_equal(count_of(database, "push_new_blobs"), 0);
    assert_int_equal(count_of(database, "tombstones"), 2);
    assert_int_equal(push_new_blob_get(database, number, NEW, &found, NULL), -ENOENT);
    assert_int_equal(push_new_blob_open(database, number, NEW, 5, &found, NULL), -ENOENT);
}

static void a_commit_leaves_the_unnamed_behind(void **state)
{
    struct database *database = DB(state);
    int64_t number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    struct push_commit commit;
    struct push_result result = { 0 };

    open_new(database, number, 1);
    commit = fixture_parts(database, number, 1000, "1");
    assert_int_equal(push_commit(database, &commit, &result, NULL), 0);
    assert_int_equal(result.answer, PUSH_ANSWER_CREATED);
    push_result_release(&result);
    assert_int_equal(count_of(database, "push_new_blobs"), 0);
    assert_int_equal(count_of(database, "blobs"), 3);
    assert_int_equal(count_of(database, "tombstones"), 1);
    assert_int_equal(count_of(database, "version_blobs"), 3);
}

static void one_whose_push_has_ended_is_gone(void **state)
{
    struct database *database = DB(state);
    int64_t number = fixture_push(database, "shop", "api", FIXTURE_TOKEN);
    struct push_new_blob found;

    open_new(database, number, 1);
    fixture_now += PUSH_LEASE_S;
    assert_int_equal(push_new_blob_get(database, number, NEW, &found, NULL), -ENOENT);
    assert_int_equal(push_new_blob_open(database, number, NEW, 1001, &found, NULL), -ENOENT);
    assert_int_equal(name_new(database, number, 1), -ENOENT);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(one_is_opened_once),
        CASE(pushes_have_their_own),
        CASE(progress_is_kept_until_it_is_named),
        CASE(a_named_one_is_wanted_like_others),
        CASE(one_that_the_push_has_is_surplus),
        CASE(one_that_was_to_be_sent_takes_the_place),
        CASE(one_that_was_lost_is_healed),
        CASE(another_size_than_the_push_s_is_refused),
        CASE(with_the_listing_there_only_what_it_names_comes),
        CASE(what_the_listing_does_not_name_is_let_go),
        CASE(what_was_cut_off_and_is_not_wanted_goes_at_once),
        CASE(a_listing_that_came_as_a_new_blob_stays),
        CASE(the_end_of_the_push_takes_all),
        CASE(a_commit_leaves_the_unnamed_behind),
        CASE(one_whose_push_has_ended_is_gone),
    };

    return cmocka_run_group_tests_name("push_new_blobs", tests, NULL, NULL);
}
