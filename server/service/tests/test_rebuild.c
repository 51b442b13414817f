/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "server/db/database.h"
#include "server/db/names.h"
#include "server/db/purge.h"
#include "server/db/store.h"
#include "server/db/transaction.h"
#include "server/db/versions.h"
#include "server/service/rebuild.h"
#include "server/service/record_store.h"
#include "server/service/tests/world.h"
#include "server/storage/blob_store.h"

#define SIZE 700000 /* has a merkle object */

static struct world world;
static struct sample sample, other;
static struct database *made;
static unsigned told[3];
static char last[256];

static void push(const char *version, const struct sample *what)
{
    enum pushes_outcome outcome;

    assert_int_equal(sample_push(&world, &world.caller, "p", "a", version, what, &outcome, NULL,
                                 NULL, NULL),
                     0);
}

static int setup(void **state)
{
    struct database_options options = {
        .location = "sqlite::memory:", .create = true, .migrate = true, .now_s = world_now
    };

    world_open(&world, WORLD_FILE); /* its walk holds no lock */
    sample_make(&sample, 1, 3, SIZE);
    sample_make(&other, 2, 2, 5000);
    push("v1", &sample);
    push("v2", &other);
    memset(told, 0, sizeof(told));
    assert_int_equal(database_open(&options, &made, NULL), 0);
    return 0;
}

static int teardown(void **state)
{
    made = database_close(made);
    sample_release(&sample);
    sample_release(&other);
    world_close(&world);
    return 0;
}

static void tell(void *context, enum rebuild_found kind, const char *name, const char *why)
{
    told[kind]++;
    snprintf(last, sizeof(last), "%s", name);
}

static struct rebuild_result run(void)
{
    const struct rebuild rebuild = { .database = made, .store = world.store, .tell = tell };
    struct rebuild_result result = { 0 };
    struct error err = { 0 };

    if (rebuild_run(&rebuild, &result, &err) < 0)
        fail_msg("%s", err.text);
    return result;
}

static void compare(const char *name)
{
    cleanup(version_release) struct version before = version_empty(), after = version_empty();

    assert_int_equal(version_get(world.database, "p", "a", name, &before, NULL), 0);
    assert_int_equal(version_get(made, "p", "a", name, &after, NULL), 0);
    assert_memory_equal(&before.content, &after.content, sizeof(before.content));
    assert_memory_equal(&before.times, &after.times, sizeof(before.times));
    assert_memory_equal(&before.tree, &after.tree, sizeof(before.tree));
    assert_int_equal(before.tree_size, after.tree_size);
    assert_int_equal(before.file_count, after.file_count);
    assert_int_equal(before.bytes, after.bytes);
    assert_int_equal(before.created_at_s, after.created_at_s);
    assert_string_equal(before.pushed_by, after.pushed_by);
}

static void test_all_is_there(void **state)
{
    struct rebuild_result result = run();
    struct store store;

    assert_int_equal(result.versions, 2);
    assert_int_equal(result.blobs, result.objects);
    assert_int_equal(result.damaged + result.duplicates + result.incomplete + result.wrong_records +
                         result.purged,
                     0);
    assert_int_equal(store_get(made, &store, NULL), 0);
    assert_string_equal(store.id, blob_store_id(world.store));
    compare("v1");
    compare("v2");
}

static void purge(const char *name)
{
    cleanup(version_release) struct version version = version_empty();

    assert_int_equal(version_get(world.database, "p", "a", name, &version, NULL), 0);
    assert_int_equal(version_trash(world.database, version.id, &actor_host, NULL, true, NULL, NULL),
                     0);
    assert_int_equal(version_purge(world.database, version.id, INT64_MAX, &actor_host, NULL), 0);
}

/* Purged and pushed again, all within a second: that the old one went says nothing of the new one,
 * whenever it is written. */
static void test_pushed_again_within_a_second(void **state)
{
    struct rebuild_result result;
    size_t count;

    for (int i = 0; i < 3; i++) {
        purge("v1");
        if (i == 1)
            assert_int_equal(record_store_tell_purged(world.services, &count, NULL), 0);
        push("v1", &sample);
    }
    assert_int_equal(record_store_tell_purged(world.services, &count, NULL), 0);
    assert_int_equal(count, 1);
    result = run();
    assert_int_equal(result.versions, 2);
    assert_int_equal(result.purged, 3);
    compare("v1");
    compare("v2");
}

struct spending {
    struct digest content;
    int64_t created_at_s;
};

static int spend(struct transaction *tx, void *context, struct error *err)
{
    struct spending *spending = context;

    return name_spend(tx, "p", "a", "v1", &spending->content, &spending->created_at_s, err);
}

/* What the store says of a name is enough to go on without such a mix-up. */
static void test_pushed_again_after_a_rebuild(void **state)
{
    cleanup(version_release) struct version version = version_empty();
    struct spending spending;
    size_t count;

    for (int i = 0; i < 3; i++) {
        purge("v1");
        push("v1", &sample);
    }
    assert_int_equal(version_get(world.database, "p", "a", "v1", &version, NULL), 0);
    assert_true(version.created_at_s > world_now());
    purge("v1");
    assert_int_equal(record_store_tell_purged(world.services, &count, NULL), 0);
    assert_int_equal(run().versions, 1);
    spending.content = version.content;
    assert_int_equal(transaction_write(made, spend, &spending, NULL), 0);
    assert_true(spending.created_at_s > version.created_at_s);
}

static struct blob tree_of(const char *name)
{
    cleanup(version_release) struct version version = version_empty();
    struct blob blob;

    assert_int_equal(version_get(world.database, "p", "a", name, &version, NULL), 0);
    assert_int_equal(blob_get(world.database, version.tree_blob_id, &blob, NULL), 0);
    return blob;
}

static void test_what_is_lost_is_named(void **state)
{
    const struct blob tree = tree_of("v2");
    struct rebuild_result result;

    assert_int_equal(blob_store_remove(world.store, tree.key, NULL), 0);
    result = run();
    assert_int_equal(result.versions, 1);
    assert_int_equal(result.incomplete, 1);
    assert_int_equal(told[REBUILD_INCOMPLETE], 1);
    assert_string_equal(last, "p/a/v2");
    compare("v1");
}

static void put(const char *key, const char *text)
{
    cleanup(blob_writer_abort_at) struct blob_writer *writer = NULL;

    assert_int_equal(blob_store_create(world.store, key, strlen(text), &writer, NULL), 0);
    assert_int_equal(blob_writer_write(writer, text, strlen(text), NULL), 0);
    assert_int_equal(blob_writer_commit(take_pointer(&writer), NULL), 0);
}

/* Records of strangers, and an object that is not what its key says. */
static void test_what_is_wrong_is_named_and_not_used(void **state)
{
    struct rebuild_result result;

    put("00112233445566778899aabbccddeeff.r", "format: 1\n");
    put("00112233445566778899aabbccddeef0.d", "{}");
    put("00112233445566778899aabbccddeef1.d", "{\"schema\":\"kkartifact-purged-1\","
                                              "\"project\":\"p\",\"app\":\"../x\"}");
    put("00112233445566778899aabbccddeef2", "whose?");
    put("stranger", "x");
    result = run();
    assert_int_equal(result.versions, 2);
    assert_int_equal(result.wrong_records, 3);
    assert_int_equal(result.damaged, 1);
    assert_int_equal(told[REBUILD_RECORD], 3);
    assert_int_equal(told[REBUILD_DAMAGED], 1);
    assert_string_equal(last, "00112233445566778899aabbccddeef2");
}

static void test_only_into_a_new_database(void **state)
{
    const struct rebuild rebuild = { .database = world.database,
                                     .store = world.store,
                                     .tell = tell };
    struct rebuild_result result;

    assert_int_equal(rebuild_run(&rebuild, &result, NULL), -EEXIST);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(test_all_is_there),
        CASE(test_pushed_again_within_a_second),
        CASE(test_pushed_again_after_a_rebuild),
        CASE(test_what_is_lost_is_named),
        CASE(test_what_is_wrong_is_named_and_not_used),
        CASE(test_only_into_a_new_database),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
