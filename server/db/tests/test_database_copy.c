/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "server/db/database_copy.h"
#include "server/db/jobs.h"
#include "server/db/projects.h"
#include "server/db/store.h"
#include "server/db/tests/fixture.h"

#define DB(state) (((struct fixture *)*(state))->database)

static char copy_path[128];

static int go_on(void *context, struct error *err)
{
    unsigned *left = context;

    if (left != NULL && (*left)-- == 0)
        return error_set(err, -ECANCELED, "no more");
    return 0;
}

static void take(void **state, int expected)
{
    const struct fixture *fixture = *state;

    snprintf(copy_path, sizeof(copy_path), "%s/copy.db", fixture->folder);
    assert_int_equal(database_snapshot(fixture->database, copy_path, go_on, NULL, NULL), expected);
}

static struct database *open_copy(const struct fixture *fixture)
{
    struct database_options options = fixture_options(fixture);
    struct database *copy = NULL;
    char location[160];

    snprintf(location, sizeof(location), "sqlite:%s", copy_path);
    options.location = location;
    options.create = options.migrate = false;
    assert_int_equal(database_open(&options, &copy, NULL), 0);
    return copy;
}

static void a_snapshot_is_the_database_at_one_moment(void **state)
{
    cleanup(database_close_at) struct database *copy = NULL;
    struct store store, copied;
    struct project project;
    struct stat info;

    fixture_version(DB(state), "shop", "api", "1", 100, 1, 20);
    take(state, 0);
    assert_int_equal(project_put(DB(state), "later", &actor_host, &project, NULL, NULL), 0);
    assert_int_equal(stat(copy_path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    copy = open_copy(*state);
    assert_int_equal(store_get(DB(state), &store, NULL), 0);
    assert_int_equal(store_get(copy, &copied, NULL), 0);
    assert_string_equal(copied.id, store.id);
    assert_int_equal(fixture_integer(copy, "SELECT count(*) FROM versions"), 1);
    assert_int_equal(fixture_integer(copy, "SELECT count(*) FROM version_blobs"), 23);
    assert_int_equal(fixture_integer(copy, "SELECT count(*) FROM projects"), 1);
    assert_int_equal(fixture_integer(copy, "SELECT count(*) FROM tokens"), 2);
    /* Numbers go on where they were: keys of rows are not used again. */
    assert_int_equal(fixture_integer(copy, "SELECT sum(seq) FROM sqlite_sequence"
                                           " WHERE name IN ('blobs', 'versions')"),
                     fixture_integer(DB(state), "SELECT sum(seq) FROM sqlite_sequence"
                                                " WHERE name IN ('blobs', 'versions')"));
}

static void a_file_that_is_there_is_not_written_over(void **state)
{
    FILE *file;

    take(state, 0);
    file = fopen(copy_path, "w");
    assert_non_null(file);
    fclose(file);
    take(state, -EEXIST);
    assert_int_equal(access(copy_path, F_OK), 0);
}

static void one_that_is_ended_leaves_nothing(void **state)
{
    const struct fixture *fixture = *state;
    unsigned left = 1; /* the one before the first byte */
    struct error err = { 0 };

    /* Enough of them that it is asked on the way. */
    assert_true(fixture_run(DB(state),
                            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
                            " WHERE i < 30000) INSERT INTO projects (name, created_at)"
                            " SELECT 'p' || i, 1 FROM n") >= 0);
    snprintf(copy_path, sizeof(copy_path), "%s/copy.db", fixture->folder);
    assert_int_equal(database_snapshot(fixture->database, copy_path, go_on, &left, &err),
                     -ECANCELED);
    assert_string_equal(err.text, "no more");
    assert_int_equal(access(copy_path, F_OK), -1);
    left = 0;
    assert_int_equal(database_snapshot(fixture->database, copy_path, go_on, &left, NULL),
                     -ECANCELED);
    assert_int_equal(access(copy_path, F_OK), -1);
}

/* What was under way is ended in the copy, and goes on in the other. */
static void what_was_under_way_is_settled(void **state)
{
    static const struct job_draft sweep = { .kind = "gc", .lane = "delete" };
    static const struct job_draft own = { .kind = "backup", .lane = "delete" };
    cleanup(database_close_at) struct database *copy = NULL;
    cleanup(job_release) struct job waits = { 0 }, runs = { 0 };
    int64_t number = fixture_push(DB(state), "shop", "api", FIXTURE_TOKEN);
    const struct blob_scope nobody = { 0 };

    fixture_push(DB(state), "shop", "web", FIXTURE_OTHER);
    fixture_want_range(DB(state), number, &nobody, 1, 5);
    fixture_send_range(DB(state), number, 1, 3); /* two are not all there */
    assert_int_equal(job_begin(DB(state), &actor_host, &own, "me", 60, &runs, NULL), 0);
    assert_int_equal(job_add(DB(state), &actor_host, &sweep, &waits, NULL), 0);
    take(state, 0);
    copy = open_copy(*state);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(database_copy_settle(copy, NULL), 0);
        assert_int_equal(fixture_integer(copy, "SELECT count(*) FROM pushes"), 0);
        assert_int_equal(fixture_integer(copy, "SELECT count(*) FROM push_blobs"), 0);
        assert_int_equal(fixture_integer(copy, "SELECT count(*) FROM blobs"), 3);
        assert_int_equal(fixture_integer(copy, "SELECT count(*) FROM gc_candidates"), 3);
        assert_int_equal(fixture_integer(copy, "SELECT count(*) FROM tombstones"), 2);
        assert_int_equal(fixture_integer(copy, "SELECT count(*) FROM jobs"
                                               " WHERE state = 'cancelled'"),
                         2);
    }
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM pushes"), 2);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM jobs"
                                                " WHERE state = 'cancelled'"),
                     0);
}

static void it_says_what_it_was_made_by(void **state)
{
    assert_int_equal(database_copy_tell(DB(state), "store.restore", "{\"n\":1}", NULL), 0);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM audit WHERE actor = 'host'"
                                                " AND operation = 'store.restore'"
                                                " AND data = '{\"n\":1}'"),
                     1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(a_snapshot_is_the_database_at_one_moment),
        CASE(a_file_that_is_there_is_not_written_over),
        CASE(one_that_is_ended_leaves_nothing),
        CASE(what_was_under_way_is_settled),
        CASE(it_says_what_it_was_made_by),
    };

    return cmocka_run_group_tests_name("database_copy", tests, NULL, NULL);
}
