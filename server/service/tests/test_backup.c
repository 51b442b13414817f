/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "server/db/database.h"
#include "server/db/jobs.h"
#include "server/db/purge.h"
#include "server/db/versions.h"
#include "server/service/backup.h"
#include "server/service/jobs.h"
#include "server/service/record_store.h"
#include "server/service/tests/fault_store.h"
#include "server/service/tests/world.h"
#include "server/service/version_record.h"
#include "server/storage/blob_store.h"
#include "server/storage/blob_store_file.h"

#define SIZE 700000 /* has a merkle object */

static struct world world;
static struct sample sample, other;
static struct blob_store *store;
static char folder[64], store_path[96], database_path[96];

static void push(const char *version, const struct sample *what)
{
    enum pushes_outcome outcome;

    assert_int_equal(sample_push(&world, &world.caller, "p", "a", version, what, &outcome, NULL,
                                 NULL, NULL),
                     0);
}

static int setup(void **state)
{
    world_open(&world, WORLD_FILE);
    sample_make(&sample, 1, 3, SIZE);
    sample_make(&other, 2, 2, 5000);
    push("v1", &sample);
    snprintf(folder, sizeof(folder), "/tmp/kkbackup-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(store_path, sizeof(store_path), "%s/blobs", folder);
    snprintf(database_path, sizeof(database_path), "%s/kkartifact.db", folder);
    assert_int_equal(blob_store_file_open(store_path, services_store_id(world.services), true,
                                          &store, NULL),
                     0);
    return 0;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    return remove(path);
}

static int teardown(void **state)
{
    store = blob_store_free(store);
    sample_release(&sample);
    sample_release(&other);
    world_close(&world);
    return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int make(struct backup_result *out, struct error *err)
{
    const struct backup_target target = { .directory = folder, .store = store };

    return backup_make(world.services, &target, out, err);
}

static struct backup_result made(void)
{
    struct backup_result result;
    struct error err = { 0 };

    backup_result_init(&result);
    if (make(&result, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(access(database_path, F_OK), 0);
    return result;
}

/* Of its database and its store. */
static int state_of(const char *version, enum blob_state *out_tree)
{
    struct database_options options = { .now_s = world_now };
    cleanup(database_close_at) struct database *database = NULL;
    cleanup(version_release) struct version found = version_empty();
    char location[128];
    struct blob tree;
    int r;

    snprintf(location, sizeof(location), "sqlite:%s", database_path);
    options.location = location;
    assert_int_equal(database_open(&options, &database, NULL), 0);
    r = version_get(database, "p", "a", version, &found, NULL);
    if (r == 0 && out_tree != NULL) {
        assert_int_equal(blob_get(database, found.tree_blob_id, &tree, NULL), 0);
        *out_tree = tree.state;
    }
    return r;
}

static void test_the_second_copies_what_is_new(void **state)
{
    struct backup_result first = made(), second, third;

    assert_int_equal(first.objects, first.copied_objects);
    assert_int_equal(first.objects, world_object_count(&world));
    assert_true(first.copied_bytes > 3 * SIZE);
    assert_int_equal(first.damaged, 0);
    assert_int_equal(state_of("v1", NULL), 0);
    second = made();
    assert_int_equal(second.objects, first.objects);
    assert_int_equal(second.copied_objects, 0);
    assert_int_equal(second.removed_objects, 0);
    push("v2", &other);
    third = made();
    assert_int_equal(third.objects, world_object_count(&world));
    assert_int_equal(third.copied_objects, third.objects - first.objects);
    assert_int_equal(state_of("v2", NULL), 0);
}

/* Its record stays with those that say so; its objects go when the source has no row any more. */
static void test_what_the_snapshot_does_not_know_goes(void **state)
{
    cleanup(blob_writer_abort_at) struct blob_writer *writer = NULL;
    const char *key = "00112233445566778899aabbccddeeff";
    struct backup_result result = made();
    struct blob_reader reader;

    assert_int_equal(blob_store_create(store, key, 1, &writer, NULL), 0);
    assert_int_equal(blob_writer_write(writer, "x", 1, NULL), 0);
    assert_int_equal(blob_writer_commit(take_pointer(&writer), NULL), 0);
    result = made();
    assert_int_equal(result.removed_objects, 1);
    assert_int_equal(result.copied_objects, 0);
    assert_int_equal(blob_store_open(store, key, 0, 1, &reader, NULL), -ENOENT);
    assert_int_equal(state_of("v1", NULL), 0);
}

static struct blob blob_of(const char *version)
{
    cleanup(version_release) struct version found = version_empty();
    struct blob tree;

    assert_int_equal(version_get(world.database, "p", "a", version, &found, NULL), 0);
    assert_int_equal(blob_get(world.database, found.tree_blob_id, &tree, NULL), 0);
    return tree;
}

/* What the store has lost is marked so in the copy; one that was copied before is not. */
static void test_what_is_lost(void **state)
{
    const struct blob tree = blob_of("v1");
    struct backup_result result;
    enum blob_state copied;

    assert_int_equal(blob_store_remove(world.store, tree.key, NULL), 0);
    result = made();
    assert_int_equal(result.damaged, 1);
    assert_int_equal(backup_outcome(&result, "it", NULL), -EIO);
    assert_int_equal(state_of("v1", &copied), 0);
    assert_int_equal(copied, BLOB_MISSING);
    backup_result_release(&result);
}

/* A bad sector of one object keeps no other one out, is named, and the next backup has it. */
static void test_what_cannot_be_read(void **state)
{
    const struct blob tree = blob_of("v1");
    struct backup_result result;
    struct error err = { 0 };
    enum blob_state copied;
    char expected[64];

    push("v2", &other);
    fault_store_fail_object(world.store, tree.key, -EIO);
    result = made();
    assert_int_equal(result.unreadable, 1);
    assert_int_equal(result.damaged, 0);
    assert_true(result.objects >= world_object_count(&world) - 2); /* and its merkle object */
    snprintf(expected, sizeof(expected), "\"unreadable: %s\"", tree.key);
    assert_string_equal(buf_text(&result.lacking), expected);
    assert_int_equal(backup_outcome(&result, "it", &err), -EIO);
    assert_non_null(strstr(err.text, "it is complete but for 1 objects that cannot be read"));
    assert_int_equal(state_of("v1", &copied), 0);
    assert_int_equal(copied, BLOB_MISSING);
    assert_int_equal(state_of("v2", &copied), 0);
    assert_int_equal(copied, BLOB_LIVE);
    backup_result_release(&result);
    fault_store_heal(world.store);
    result = made();
    assert_int_equal(result.unreadable, 0);
    assert_int_equal(backup_outcome(&result, "it", NULL), 0);
    assert_int_equal(state_of("v1", &copied), 0);
    assert_int_equal(copied, BLOB_LIVE);
}

/* A record, too: the version is in the database. */
static void test_a_record_that_cannot_be_read(void **state)
{
    cleanup(version_release) struct version version = version_empty();
    struct backup_result result;
    struct record record;
    char key[RECORD_KEY_SIZE];

    assert_int_equal(version_get(world.database, "p", "a", "v1", &version, NULL), 0);
    record_init(&record);
    assert_int_equal(version_record_of(&version, &record, NULL), 0);
    record_key(&record, key);
    record_release(&record);
    fault_store_fail_object(world.store, key, -EIO);
    result = made();
    assert_int_equal(result.unreadable, 1);
    assert_non_null(strstr(buf_text(&result.lacking), key));
    assert_int_equal(result.objects, world_object_count(&world) - 1);
    backup_result_release(&result);
}

/* Nothing is made of a store that is not there, and what was made before stays. */
static void test_a_store_that_goes_away(void **state)
{
    struct backup_result result = made();
    enum blob_state copied;

    push("v2", &other);
    backup_result_init(&result);
    fault_store_fail(world.store, 3, -EIO, 1);
    assert_int_equal(make(&result, NULL), -EIO);
    backup_result_release(&result);
    fault_store_heal(world.store);
    assert_int_equal(state_of("v2", NULL), -ENOENT);
    assert_int_equal(state_of("v1", &copied), 0);
    assert_int_equal(copied, BLOB_LIVE);
}

static void test_what_was_copied_before_is_kept(void **state)
{
    const struct blob tree = blob_of("v1");
    struct backup_result first = made(), second;
    enum blob_state copied;

    assert_int_equal(blob_store_remove(world.store, tree.key, NULL), 0);
    second = made();
    assert_int_equal(second.damaged, 0);
    assert_int_equal(second.objects, first.objects);
    assert_int_equal(state_of("v1", &copied), 0);
    assert_int_equal(copied, BLOB_LIVE);
}

/* A backup that died is ended by whoever comes next, and not done again. */
static void test_one_that_died(void **state)
{
    const struct job_draft draft = { .kind = "backup", .lane = "delete" };
    cleanup(job_release) struct job dead = { 0 }, found = { 0 };
    struct backup_result result;
    struct error err = { 0 };
    size_t count;

    backup_result_init(&result);
    assert_int_equal(job_begin(world.database, &actor_host, &draft, "dead", 60, &dead, NULL), 0);
    assert_int_equal(make(&result, &err), -EBUSY);
    assert_int_equal(jobs_work(world.services, &count, NULL), 0);
    assert_int_equal(count, 0);
    world_sleep(61);
    assert_int_equal(make(&result, &err), -EBUSY);
    assert_int_equal(access(database_path, F_OK), -1);
    assert_int_equal(jobs_work(world.services, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_int_equal(job_get(world.database, dead.id, &found, NULL), 0);
    assert_int_equal(found.state, JOB_FAILED);
    assert_string_equal(found.problem, "the process that did it ended before its end");
    made();
}

/* Nobody else asks for one. */
static void test_it_is_not_asked_for(void **state)
{
    cleanup(job_release) struct job job = { 0 };

    assert_int_equal(jobs_submit(world.services, &world.caller, "backup", NULL, NULL, NULL, &job,
                                 NULL),
                     -EINVAL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(test_the_second_copies_what_is_new),
        CASE(test_what_the_snapshot_does_not_know_goes),
        CASE(test_what_is_lost),
        CASE(test_what_cannot_be_read),
        CASE(test_a_record_that_cannot_be_read),
        CASE(test_a_store_that_goes_away),
        CASE(test_what_was_copied_before_is_kept),
        CASE(test_one_that_died),
        CASE(test_it_is_not_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
