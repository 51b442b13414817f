/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/json.h"
#include "server/db/versions.h"
#include "server/service/jobs.h"
#include "server/service/tests/fault_store.h"
#include "server/service/tests/world.h"
#include "server/storage/blob_store.h"

#define SIZE 700000 /* has a merkle object */
#define LOOK "{\"full\":false,\"repair\":false}"
#define FULL "{\"full\":true,\"repair\":false}"
#define REPAIR "{\"full\":false,\"repair\":true}"
#define FULL_REPAIR "{\"full\":true,\"repair\":true}"

static struct world world;
static struct sample sample;

static int setup(void **state)
{
    enum pushes_outcome outcome;

    world_open(&world, WORLD_FILE);
    sample_make(&sample, 1, 3, SIZE);
    assert_int_equal(sample_push(&world, &world.caller, "p", "a", "v", &sample, &outcome, NULL,
                                 NULL, NULL),
                     0);
    /* Objects have the time of the machine. */
    while (world_now() < time(NULL) + 2 * 86400)
        world_sleep(86400);
    return 0;
}

static int teardown(void **state)
{
    sample_release(&sample);
    world_close(&world);
    return 0;
}

/* The result of a run; NULL when it failed. */
static struct json *run(const char *params)
{
    cleanup(job_release) struct job asked = { 0 }, job = { 0 };
    struct json *json = NULL;
    size_t count;

    assert_true(
        jobs_submit(world.services, &world.caller, "fsck", NULL, NULL, params, &asked, NULL) >= 0);
    assert_int_equal(jobs_work(world.services, &count, NULL), 0);
    assert_int_equal(jobs_get(world.services, &world.caller.identity, asked.id, &job, NULL, NULL),
                     0);
    if (job.state != JOB_DONE)
        return NULL;
    assert_int_equal(json_parse(span_text(job.result), &json, NULL), 0);
    return json;
}

static int64_t number_of(const struct json *json, const char *name)
{
    int64_t value = -1;

    assert_int_equal(json_member_integer(json_root(json), name, &value, NULL), 0);
    return value;
}

struct expected {
    int64_t missing, corrupt, unreadable, recovered, strays, moved_aside;
    size_t broken;
};

static void expect(const char *params, struct expected expected)
{
    struct json *json = run(params);

    assert_non_null(json);
    assert_int_equal(number_of(json, "missing"), expected.missing);
    assert_int_equal(number_of(json, "corrupt"), expected.corrupt);
    assert_int_equal(number_of(json, "unreadable"), expected.unreadable);
    assert_int_equal(number_of(json, "recovered"), expected.recovered);
    assert_int_equal(number_of(json, "strays"), expected.strays);
    assert_int_equal(number_of(json, "moved_aside"), expected.moved_aside);
    assert_int_equal(json_count(json_member(json_root(json), "broken_versions")), expected.broken);
    assert_true(number_of(json, "blobs") >= 6);
    json_free(json);
}

static struct blob row_of(size_t index)
{
    struct version version = version_empty();
    struct blob blob;

    assert_int_equal(version_get(world.database, "p", "a", "v", &version, NULL), 0);
    assert_int_equal(blob_of_version(world.database, version.id, &sample.blobs[index].sha256, &blob,
                                     NULL),
                     0);
    version_release(&version);
    return blob;
}

static enum blob_state state_of(size_t index)
{
    return row_of(index).state;
}

/* One byte of an object as a disk would turn it. */
static void damage(const char *key, off_t offset)
{
    char path[256], byte;
    int fd;

    snprintf(path, sizeof(path), "%s/store/blobs/%.2s/%s", world.directory, key, key);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    byte = (char)(byte ^ 1);
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
    close(fd);
}

static void push_again(void)
{
    enum pushes_outcome outcome;

    assert_int_equal(sample_push(&world, &world.caller, "p", "a", "v", &sample, &outcome, NULL,
                                 NULL, NULL),
                     0);
    assert_int_equal(outcome, PUSHES_EXISTS);
}

static void test_all_is_well(void **state)
{
    expect(FULL, (struct expected){ 0 });
    expect(FULL_REPAIR, (struct expected){ 0 });
    sample_check(&world, "p", "a", "v", &sample);
}

/* Looking says it and changes nothing; repairing marks it; the same bytes heal it. */
static void test_a_lost_object(void **state)
{
    const struct blob lost = row_of(0);

    assert_int_equal(blob_store_remove(world.inner, lost.key, NULL), 0);
    expect(LOOK, (struct expected){ .missing = 1, .broken = 1 });
    assert_int_equal(state_of(0), BLOB_LIVE);
    expect(REPAIR, (struct expected){ .missing = 1, .broken = 1, .strays = 0 });
    assert_int_equal(state_of(0), BLOB_MISSING);
    push_again();
    assert_int_equal(state_of(0), BLOB_LIVE);
    assert_string_not_equal(row_of(0).key, lost.key);
    expect(FULL, (struct expected){ 0 });
    sample_check(&world, "p", "a", "v", &sample);
}

static void test_other_bytes(void **state)
{
    const struct blob wrong = row_of(1);

    damage(wrong.key, SIZE / 2);
    expect(LOOK, (struct expected){ 0 }); /* the size is right */
    expect(FULL, (struct expected){ .corrupt = 1, .broken = 1 });
    assert_int_equal(state_of(1), BLOB_LIVE);
    expect(FULL_REPAIR, (struct expected){ .corrupt = 1, .broken = 1 });
    assert_int_equal(state_of(1), BLOB_CORRUPT);
    /* Read again after a mishap of the disk: it was right after all. */
    damage(wrong.key, SIZE / 2);
    expect(LOOK, (struct expected){ .recovered = 1, .broken = 1 });
    assert_int_equal(state_of(1), BLOB_CORRUPT);
    expect(REPAIR, (struct expected){ .recovered = 1 });
    assert_int_equal(state_of(1), BLOB_LIVE);
    sample_check(&world, "p", "a", "v", &sample);
}

/* Without its tree of hashes nobody could verify a part of it. */
static void test_the_merkle_object(void **state)
{
    const struct blob blob = row_of(2);
    char key[BLOB_MERKLE_KEY_SIZE];

    blob_merkle_key(&blob, key);
    damage(key, 5000);
    expect(LOOK, (struct expected){ 0 });
    expect(FULL, (struct expected){ .corrupt = 1, .broken = 1 });
    assert_int_equal(blob_store_remove(world.inner, key, NULL), 0);
    expect(LOOK, (struct expected){ .corrupt = 1, .broken = 1 });
    expect(REPAIR, (struct expected){ .corrupt = 1, .broken = 1 });
    push_again();
    expect(FULL, (struct expected){ 0 });
    sample_check(&world, "p", "a", "v", &sample);
}

static void put(const char *key)
{
    struct blob_writer *writer;

    assert_int_equal(blob_store_create(world.inner, key, 4, &writer, NULL), 0);
    assert_int_equal(blob_writer_write(writer, "gone", 4, NULL), 0);
    assert_int_equal(blob_writer_commit(writer, NULL), 0);
}

static bool has(const char *key)
{
    struct blob_reader reader = { 0 };
    int r = blob_store_open(world.inner, key, 0, UINT64_MAX, &reader, NULL);

    blob_reader_release(&reader);
    return r == 0;
}

static void test_objects_without_a_row(void **state)
{
    static const char stray[] = "0123456789abcdef0123456789abcdef";
    static const char beside[] = "0123456789abcdef0123456789abcdef.m";
    static const char record[] = "0123456789abcdef0123456789abcdef.r";
    static const char foreign[] = "somebody-elses.file";

    put(stray);
    put(beside);
    put(record);
    put(foreign);
    expect(LOOK, (struct expected){ .strays = 2 });
    assert_true(has(stray));
    expect(REPAIR, (struct expected){ .strays = 2, .moved_aside = 2 });
    assert_false(has(stray));
    assert_false(has(beside));
    assert_true(has(record));
    assert_true(has(foreign));
    expect(LOOK, (struct expected){ 0 });
    sample_check(&world, "p", "a", "v", &sample);
}

/* A store that does not show who it is, that cannot be read, that is not there: no conclusion. */
static void test_a_store_that_is_away(void **state)
{
    const int64_t calls = fault_store_calls(world.store);
    int64_t needed;

    expect(REPAIR, (struct expected){ 0 });
    needed = fault_store_calls(world.store) - calls;
    for (int64_t i = 0; i < needed; i++) {
        fault_store_fail(world.store, i, -EIO, 1);
        assert_null(run(REPAIR));
        fault_store_heal(world.store);
        assert_int_equal(state_of(0), BLOB_LIVE);
        assert_int_equal(state_of(1), BLOB_LIVE);
        assert_int_equal(state_of(2), BLOB_LIVE);
    }
    expect(FULL, (struct expected){ 0 });
}

/* A bad sector is named, and nothing is concluded; the others are looked at all the same. */
static void test_an_object_that_cannot_be_read(void **state)
{
    const struct blob bad = row_of(0), lost = row_of(1);
    char merkle_key[BLOB_MERKLE_KEY_SIZE], found[80];
    struct json *json;
    const char *text;

    blob_merkle_key(&bad, merkle_key);
    assert_int_equal(blob_store_remove(world.inner, lost.key, NULL), 0);
    for (int i = 0; i < 2; i++) {
        fault_store_fail_object(world.store, i == 0 ? bad.key : merkle_key, -EIO);
        expect(FULL, (struct expected){ .unreadable = 1, .missing = 1, .broken = 1 });
    }
    snprintf(found, sizeof(found), "unreadable: %s", bad.key);
    json = run(FULL_REPAIR);
    assert_non_null(json);
    text = NULL;
    for (const struct json_value *at = NULL;
         (at = json_next(json_member(json_root(json), "found"), at)) != NULL;) {
        assert_int_equal(json_get_text(at, "found", &text, NULL), 0);
        if (strcmp(text, found) == 0)
            break;
        text = NULL;
    }
    assert_non_null(text);
    json_free(json);
    assert_int_equal(state_of(0), BLOB_LIVE);
    assert_int_equal(state_of(1), BLOB_MISSING);
    fault_store_heal(world.store);
    push_again();
    expect(FULL, (struct expected){ 0 });
    sample_check(&world, "p", "a", "v", &sample);
}

static void test_params_that_are_none(void **state)
{
    assert_null(run("{\"full\":7}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_is_well),
        cmocka_unit_test(test_a_lost_object),
        cmocka_unit_test(test_other_bytes),
        cmocka_unit_test(test_the_merkle_object),
        cmocka_unit_test(test_objects_without_a_row),
        cmocka_unit_test(test_a_store_that_is_away),
        cmocka_unit_test(test_an_object_that_cannot_be_read),
        cmocka_unit_test(test_params_that_are_none),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
