/* SPDX-License-Identifier: MIT */

#include "common/base/memory.h"
#include "server/db/blob_walk.h"
#include "server/db/purge.h"
#include "server/db/sweep.h"
#include "server/db/tests/fixture.h"

#define DB(state) (((struct fixture *)*(state))->database)
#define GRACE_S 86400
#define COUNT(state, where) fixture_integer(DB(state), "SELECT count(*) FROM " where)

static const struct blob_scope everywhere = { .token_id = FIXTURE_TOKEN };

static void purged(struct database *database, const char *name, unsigned content, unsigned first,
                   unsigned count)
{
    int64_t id = fixture_version(database, "shop", "api", name, content, first, count);

    assert_int_equal(version_trash(database, id, &actor_host, NULL, true, NULL, NULL), 0);
    assert_int_equal(version_purge(database, id, INT64_MAX, &actor_host, NULL), 0);
}

static struct sweep_batch mark(struct database *database)
{
    struct sweep_batch batch;

    assert_int_equal(sweep_mark(database, 0, GRACE_S, 1000, &batch, NULL), 0);
    return batch;
}

static struct sweep_batch collect(struct database *database)
{
    struct sweep_batch batch;

    assert_int_equal(sweep_delete(database, GRACE_S, 1000, &batch, NULL), 0);
    return batch;
}

static void what_nothing_refers_to_goes_after_the_grace(void **state)
{
    struct sweep_batch batch;

    purged(DB(state), "1", 1000, 0, 3);
    batch = mark(DB(state));
    assert_int_equal(batch.looked_at, 6);
    assert_int_equal(batch.condemned, 6);
    assert_int_equal(COUNT(state, "gc_candidates"), 0);
    fixture_now += GRACE_S - 1;
    assert_int_equal(collect(DB(state)).looked_at, 0);
    fixture_now += 1;
    batch = collect(DB(state));
    assert_int_equal(batch.deleted, 6);
    /* 1000 + n bytes each: blobs 0..2, and the parts 1000..1002 */
    assert_int_equal(batch.deleted_bytes, 3 * 1000 + 3 + 3 * 2000 + 3);
    assert_int_equal(COUNT(state, "blobs"), 0);
    assert_int_equal(COUNT(state, "tombstones"), 6);
}

/* An edge of another version. */
static void what_another_version_has_stays(void **state)
{
    struct sweep_batch batch;

    fixture_version(DB(state), "shop", "api", "other", 2000, 1, 3);
    purged(DB(state), "1", 1000, 0, 3);
    batch = mark(DB(state));
    assert_int_equal(batch.kept, 2);
    assert_int_equal(batch.condemned, 4);
    fixture_now += GRACE_S;
    assert_int_equal(collect(DB(state)).deleted, 4);
    assert_int_equal(COUNT(state, "version_blobs e JOIN blobs b ON b.id = e.blob_id"
                                  " WHERE b.state = 'live'"),
                     6);
}

/* The hold of a push that says it has them, before they are judged and after. */
static void what_a_push_holds_stays(void **state)
{
    int64_t push = fixture_push(DB(state), "shop", "api", FIXTURE_TOKEN);
    struct sweep_batch batch;

    fixture_version(DB(state), "shop", "api", "1", 1000, 0, 3);
    assert_int_equal(fixture_want_range(DB(state), push, &everywhere, 0, 3), 0);
    assert_true(fixture_run(DB(state), "UPDATE versions SET state = 'trashed', trashed_at = 0") >=
                0);
    assert_int_equal(version_purge(DB(state), fixture_integer(DB(state), "SELECT id FROM versions"),
                                   INT64_MAX, &actor_host, NULL),
                     0);
    batch = mark(DB(state));
    assert_int_equal(batch.kept, 3);
    assert_int_equal(batch.condemned, 3);
    fixture_now += GRACE_S;
    assert_int_equal(collect(DB(state)).deleted, 3);
    assert_int_equal(COUNT(state, "blobs WHERE state = 'live'"), 3);
}

/* "Have" is said of a condemned blob, whose edge the token may know of: it lives again. */
static void have_of_a_condemned_one_revives_it(void **state)
{
    int64_t push;

    fixture_version(DB(state), "shop", "api", "keeps", 2000, 0, 3);
    push = fixture_push(DB(state), "shop", "api", FIXTURE_TOKEN);
    assert_true(fixture_run(DB(state), "UPDATE blobs SET state = 'condemned', changed_at = 0"
                                       " WHERE size < 1003") >= 0);
    assert_int_equal(fixture_want_range(DB(state), push, &everywhere, 0, 3), 0);
    assert_int_equal(COUNT(state, "blobs WHERE state = 'condemned'"), 0);
}

/* One that got an edge or a hold by whatever way after it was condemned is found out at the second
 * look, and lives. */
static void the_second_look(void **state)
{
    struct sweep_batch batch;

    fixture_version(DB(state), "shop", "api", "keeps", 2000, 0, 3);
    assert_true(fixture_run(DB(state), "UPDATE blobs SET state = 'condemned', changed_at = 0") >=
                0);
    batch = collect(DB(state));
    assert_int_equal(batch.looked_at, 6);
    assert_int_equal(batch.kept, 6);
    assert_int_equal(batch.deleted, 0);
    assert_int_equal(COUNT(state, "tombstones"), 0);
    assert_int_equal(COUNT(state, "blobs WHERE state = 'live'"), 6);
}

/* What every other reference is, alone. */
static void every_reference_keeps(void **state)
{
    static const char *const references[] = {
        "INSERT INTO push_bases (push, blob_id) SELECT s.number, b.id FROM pushes s, blobs b"
        " WHERE b.size = 1000",
        "INSERT INTO push_new_blobs (push, number, size, blob_id) SELECT s.number, 0, 1000, b.id"
        " FROM pushes s, blobs b WHERE b.size = 1000",
        "UPDATE pushes SET listing_blob_id = (SELECT id FROM blobs WHERE size = 1000)",
        "UPDATE pushes SET times_blob_id = (SELECT id FROM blobs WHERE size = 1000)",
        "UPDATE pushes SET tree_blob_id = (SELECT id FROM blobs WHERE size = 1000)",
    };

    for (size_t i = 0; i < sizeof(references) / sizeof(references[0]); i++) {
        fixture_teardown(state);
        assert_int_equal(fixture_setup(state), 0);
        purged(DB(state), "1", 1000, 0, 1);
        fixture_push(DB(state), "shop", "api", FIXTURE_TOKEN);
        assert_true(fixture_run(DB(state), references[i]) >= 0);
        assert_int_equal(mark(DB(state)).kept, 1);
        assert_int_equal(COUNT(state, "blobs WHERE state = 'live'"), 1);
    }
}

/* Missing and corrupt ones are never made live again by a push that says "have"; they go as
 * candidates. */
static void ruined_ones(void **state)
{
    struct sweep_batch batch;

    purged(DB(state), "1", 1000, 0, 2);
    assert_true(fixture_run(DB(state), "UPDATE blobs SET state = 'missing' WHERE size = 1000") >=
                0);
    assert_true(fixture_run(DB(state), "UPDATE blobs SET state = 'corrupt' WHERE size = 1001") >=
                0);
    batch = mark(DB(state));
    assert_int_equal(batch.condemned, 3);
    assert_int_equal(batch.deleted, 0);
    assert_int_equal(sweep_is_due(DB(state), GRACE_S, NULL), 0);
    fixture_now += GRACE_S;
    assert_int_equal(sweep_is_due(DB(state), GRACE_S, NULL), 1);
    assert_int_equal(mark(DB(state)).deleted, 2);
    assert_int_equal(collect(DB(state)).deleted, 3);
    assert_int_equal(COUNT(state, "tombstones"), 5);
    assert_int_equal(sweep_is_due(DB(state), GRACE_S, NULL), 0);
}

/* A batch is what the limit says, and the next one begins behind it. */
static void in_batches(void **state)
{
    struct sweep_batch batch;
    size_t condemned = 0, deleted = 0, calls = 0;

    purged(DB(state), "1", 1000, 0, 20);
    batch.last = 0;
    do {
        assert_int_equal(sweep_mark(DB(state), batch.last, GRACE_S, 7, &batch, NULL), 0);
        assert_true(batch.looked_at <= 7);
        condemned += batch.condemned;
        calls++;
    } while (batch.looked_at == 7);
    assert_int_equal(condemned, 23);
    assert_int_equal(calls, 4);
    fixture_now += GRACE_S;
    do {
        assert_int_equal(sweep_delete(DB(state), GRACE_S, 7, &batch, NULL), 0);
        assert_true(batch.deleted <= 7);
        deleted += batch.deleted;
    } while (batch.looked_at == 7);
    assert_int_equal(deleted, 23);
}

static void a_look_changes_nothing(void **state)
{
    struct sweep_preview preview;
    int64_t before;

    fixture_version(DB(state), "shop", "api", "other", 2000, 1, 3);
    purged(DB(state), "1", 1000, 0, 3);
    before = fixture_integer(DB(state), "SELECT total_changes()");
    assert_int_equal(sweep_look(DB(state), GRACE_S, &preview, NULL), 0);
    assert_int_equal(preview.candidates, 6);
    assert_int_equal(preview.unreferenced, 4);
    assert_int_equal(preview.unreferenced_bytes, 1000 + 3 * 2000 + 3);
    assert_int_equal(preview.condemned, 0);
    assert_int_equal(fixture_integer(DB(state), "SELECT total_changes()"), before);
    mark(DB(state));
    fixture_now += GRACE_S;
    assert_int_equal(sweep_look(DB(state), GRACE_S, &preview, NULL), 0);
    assert_int_equal(preview.candidates, 0);
    assert_int_equal(preview.condemned, 4);
    assert_int_equal(preview.due, 4);
    collect(DB(state));
    assert_int_equal(sweep_look(DB(state), GRACE_S, &preview, NULL), 0);
    assert_int_equal(preview.tombstones, 4);
}

/* A condemned one that is found to be missing is no candidate any more: it must not stay. */
static void one_that_is_lost_while_it_is_condemned(void **state)
{
    struct blob blob = { 0 };

    purged(DB(state), "1", 1000, 0, 1);
    assert_int_equal(mark(DB(state)).condemned, 4);
    assert_int_equal(blob_get(DB(state), fixture_integer(DB(state), "SELECT min(id) FROM blobs"),
                              &blob, NULL),
                     0);
    assert_int_equal(blob_report(DB(state), blob.id, blob.key, BLOB_MISSING, NULL), 0);
    fixture_now += GRACE_S;
    assert_int_equal(mark(DB(state)).deleted, 1);
    assert_int_equal(collect(DB(state)).deleted, 3);
    assert_int_equal(COUNT(state, "blobs"), 0);
}

static void walking_and_what_is_broken(void **state)
{
    struct broken_version *broken;
    struct blob page[3];
    size_t count, total = 0;
    int64_t after = 0;

    fixture_version(DB(state), "shop", "api", "1", 1000, 0, 4);
    fixture_version(DB(state), "shop", "api", "2", 2000, 3, 2);
    do {
        assert_int_equal(blob_walk(DB(state), after, 3, page, &count, NULL), 0);
        for (size_t i = 0; i < count; i++) {
            assert_true(page[i].id > after);
            after = page[i].id;
        }
        total += count;
    } while (count == 3);
    assert_int_equal(total, 4 + 3 + 1 + 3);
    assert_int_equal(broken_version_list(DB(state), 10, &broken, &count, NULL), 0);
    assert_int_equal(count, 0);
    assert_true(fixture_run(DB(state), "UPDATE blobs SET state = 'missing' WHERE size IN"
                                       " (1000, 1003)") >= 0);
    assert_int_equal(broken_version_list(DB(state), 10, &broken, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_string_equal(broken[0].version, "1");
    assert_int_equal(broken[0].blob_count, 2);
    assert_int_equal(broken[1].blob_count, 1);
    memory_free(broken);
    assert_int_equal(blob_get(DB(state),
                              fixture_integer(DB(state), "SELECT id FROM blobs WHERE"
                                                         " size = 1000"),
                              &page[0], NULL),
                     0);
    assert_int_equal(blob_recovered(DB(state), page[0].id, "another key", NULL), 0);
    assert_int_equal(COUNT(state, "blobs WHERE state = 'missing'"), 2);
    assert_int_equal(blob_recovered(DB(state), page[0].id, page[0].key, NULL), 0);
    assert_int_equal(COUNT(state, "blobs WHERE state = 'missing'"), 1);
    assert_int_equal(mark(DB(state)).kept, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(what_nothing_refers_to_goes_after_the_grace),
        CASE(what_another_version_has_stays),
        CASE(what_a_push_holds_stays),
        CASE(have_of_a_condemned_one_revives_it),
        CASE(the_second_look),
        CASE(every_reference_keeps),
        CASE(ruined_ones),
        CASE(in_batches),
        CASE(a_look_changes_nothing),
        CASE(one_that_is_lost_while_it_is_condemned),
        CASE(walking_and_what_is_broken),
    };

    return cmocka_run_group_tests_name("sweep", tests, NULL, NULL);
}
