/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "common/base/memory.h"
#include "server/db/purge.h"
#include "server/db/tests/fixture.h"

#define DB(state) (((struct fixture *)*(state))->database)

static int64_t trashed(struct database *database, const char *name, unsigned first)
{
    int64_t id = fixture_version(database, "shop", "api", name, 1000 + 10 * first, first, 2);

    assert_int_equal(version_trash(database, id, &actor_host, NULL, true, NULL, NULL), 0);
    return id;
}

static size_t due(struct database *database, int64_t age_s, int64_t out_ids[10])
{
    uint64_t counted;
    size_t count;

    assert_int_equal(purge_due(database, fixture_now - age_s, 10, out_ids, &count, NULL), 0);
    assert_int_equal(purge_due_count(database, fixture_now - age_s, &counted, NULL), 0);
    assert_int_equal(counted, count);
    return count;
}

static void lease(struct database *database, const char *version, const char *until)
{
    char sql[400];

    snprintf(sql, sizeof(sql),
             "INSERT INTO leases SELECT '" FIXTURE_TOKEN "', 'host', '/srv', id, 'pull', '', 0, 0,"
             " %s FROM versions WHERE name = '%s'",
             until, version);
    assert_int_equal(fixture_run(database, sql), 0);
}

static void after_its_time_in_the_trash(void **state)
{
    int64_t ids[10];
    int64_t first = trashed(DB(state), "1", 0);

    fixture_version(DB(state), "shop", "api", "stays", 5000, 50, 2);
    fixture_now += 100;
    assert_int_equal(due(DB(state), 101, ids), 0);
    assert_int_equal(due(DB(state), 100, ids), 1);
    assert_int_equal(ids[0], first);
}

static void thrown_away_again_after_it_was_found(void **state)
{
    int64_t ids[10], before_s = fixture_now;
    int64_t id = trashed(DB(state), "1", 0);

    fixture_now += 100;
    assert_int_equal(due(DB(state), 100, ids), 1);
    assert_int_equal(version_restore(DB(state), id, &actor_host, NULL), 0);
    assert_int_equal(version_trash(DB(state), id, &actor_host, NULL, false, NULL, NULL), 0);
    assert_int_equal(version_purge(DB(state), id, before_s, &actor_host, NULL), -EBUSY);
    assert_int_equal(version_purge(DB(state), id, fixture_now - 1, &actor_host, NULL), -EBUSY);
    assert_int_equal(version_purge(DB(state), id, fixture_now, &actor_host, NULL), 0);
}

static void what_a_host_holds_stays(void **state)
{
    int64_t ids[10];
    int64_t id = trashed(DB(state), "1", 0);
    char until[32];

    snprintf(until, sizeof(until), "%lld", (long long)fixture_now + 200);
    lease(DB(state), "1", until);
    fixture_now += 100;
    assert_int_equal(due(DB(state), 100, ids), 0);
    assert_int_equal(version_purge(DB(state), id, INT64_MAX, &actor_host, NULL), -EBUSY);
    fixture_now += 100; /* the lease is over */
    assert_int_equal(due(DB(state), 100, ids), 1);
    assert_int_equal(version_purge(DB(state), id, INT64_MAX, &actor_host, NULL), 0);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM leases"), 0);
}

/* Deleted by force while it was promoted: the channels do not keep it from going. */
static void a_channel_that_points_at_it_goes(void **state)
{
    int64_t id = fixture_version(DB(state), "shop", "api", "1", 1000, 0, 2);

    fixture_version(DB(state), "shop", "api", "2", 2000, 10, 2);
    assert_int_equal(fixture_run(DB(state),
                                 "INSERT INTO channels (app_id, name, version_id, previous_id,"
                                 " updated_at) SELECT v.app_id, 'live', v.id, NULL, 0"
                                 " FROM versions v WHERE v.name = '1' UNION ALL"
                                 " SELECT v.app_id, 'beta', v.id, p.id, 0 FROM versions v"
                                 " JOIN versions p ON p.name = '1' WHERE v.name = '2'"),
                     0);
    assert_int_equal(version_trash(DB(state), id, &actor_host, NULL, true, NULL, NULL), 0);
    assert_int_equal(version_purge(DB(state), id, INT64_MAX, &actor_host, NULL), 0);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM channels"
                                                " WHERE name = 'beta' AND previous_id IS NULL"),
                     1);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM channels"), 1);
}

static void the_store_is_to_be_told(void **state)
{
    struct purged_record *items;
    int64_t id = trashed(DB(state), "1", 0);
    size_t count;

    assert_int_equal(version_purge(DB(state), id, INT64_MAX, &actor_host, NULL), 0);
    assert_int_equal(purged_record_list(DB(state), 10, &items, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_string_equal(items[0].project, "shop");
    assert_string_equal(items[0].app, "api");
    assert_string_equal(items[0].version, "1");
    assert_int_equal(items[0].purged_at_s, fixture_now);
    assert_int_equal(purged_record_done(DB(state), items[0].id, NULL), 0);
    memory_free(items);
    assert_int_equal(purged_record_list(DB(state), 10, &items, &count, NULL), 0);
    assert_int_equal(count, 0);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM audit WHERE operation ="
                                                " 'version.purge' AND version = '1'"),
                     1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(after_its_time_in_the_trash), CASE(thrown_away_again_after_it_was_found),
        CASE(what_a_host_holds_stays),     CASE(a_channel_that_points_at_it_goes),
        CASE(the_store_is_to_be_told),
    };

    return cmocka_run_group_tests_name("purge", tests, NULL, NULL);
}
