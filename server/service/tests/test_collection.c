/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "server/db/versions.h"
#include "server/service/collection.h"
#include "server/service/jobs.h"
#include "server/service/record_store.h"
#include "server/service/tests/fault_store.h"
#include "server/service/tests/world.h"

#define DAY_S 86400

static struct world world;
static struct sample first, second;

static int setup(void **state)
{
    world_open(&world, WORLD_FILE);
    sample_make(&first, 1, 4, 600000);
    sample_make(&second, 2, 3, 1000);
    return 0;
}

static int teardown(void **state)
{
    sample_release(&first);
    sample_release(&second);
    world_close(&world);
    return 0;
}

static void push(const char *version, const struct sample *sample)
{
    enum pushes_outcome outcome;

    assert_int_equal(sample_push(&world, &world.caller, "p", "a", version, sample, &outcome, NULL,
                                 NULL, NULL),
                     0);
}

static void trash(const char *name)
{
    struct version version = version_empty();

    assert_int_equal(version_get(world.database, "p", "a", name, &version, NULL), 0);
    assert_int_equal(version_trash(world.database, version.id, &actor_host, NULL, true, NULL, NULL),
                     0);
    version_release(&version);
}

/* One run, to its end: the job. */
static void run(enum job_state expected, struct job *out)
{
    cleanup(job_release) struct job asked = { 0 };
    size_t count;

    *out = (struct job){ .number = 0 };
    assert_true(jobs_submit(world.services, &world.caller, "gc", NULL, NULL, NULL, &asked, NULL) >=
                0);
    assert_int_equal(jobs_work(world.services, &count, NULL), 0);
    assert_int_equal(jobs_get(world.services, &world.caller.identity, asked.id, out, NULL, NULL),
                     0);
    if (out->state != expected)
        print_message("%s\n", out->problem != NULL ? out->problem : "no problem");
    assert_int_equal(out->state, expected);
}

static int64_t number_of(const struct job *job, const char *name)
{
    struct json *json;
    int64_t value = -1;

    assert_non_null(job->result);
    assert_int_equal(json_parse(span_text(job->result), &json, NULL), 0);
    assert_int_equal(json_member_integer(json_root(json), name, &value, NULL), 0);
    json_free(json);
    return value;
}

static void expect(const char *name, int64_t value)
{
    cleanup(job_release) struct job job;

    run(JOB_DONE, &job);
    assert_int_equal(number_of(&job, name), value);
}

/* From the trash to the last byte, and nothing of another version. */
static void test_the_whole_way(void **state)
{
    const size_t none = world_object_count(&world);
    size_t kept;

    push("keeps", &second);
    kept = world_object_count(&world);
    push("goes", &first);
    trash("goes");
    world_sleep(7 * DAY_S - 1);
    expect("purged_versions", 0);
    sample_check(&world, "p", "a", "keeps", &second);
    world_sleep(1);
    expect("purged_versions", 1);
    expect("candidates", 0);
    world_sleep(DAY_S - 1);
    expect("deleted_blobs", 0);
    assert_true(world_object_count(&world) > kept);
    world_sleep(1);
    expect("deleted_blobs", 7); /* four files, listing, times, tree */
    /* What is left says that it was purged. */
    assert_int_equal(world_object_count(&world), kept + 1);
    sample_check(&world, "p", "a", "keeps", &second);
    trash("keeps");
    world_sleep(7 * DAY_S);
    expect("purged_versions", 1);
    world_sleep(DAY_S);
    expect("deleted_blobs", 6);
    assert_int_equal(world_object_count(&world), none + 2);
}

/* The same content under the same name comes back, after everything of it was deleted. */
static void test_what_was_deleted_is_pushed_again(void **state)
{
    push("again", &first);
    sample_check(&world, "p", "a", "again", &first);
    trash("again");
    world_sleep(7 * DAY_S);
    expect("purged_versions", 1);
    world_sleep(DAY_S);
    expect("deleted_blobs", 7);
    push("again", &first);
    sample_check(&world, "p", "a", "again", &first);
}

/* In the trash, and a push of the same content: it is back. */
static void test_restored_in_time(void **state)
{
    trash("again");
    world_sleep(7 * DAY_S - 1);
    push("again", &first);
    world_sleep(DAY_S);
    expect("purged_versions", 0);
    sample_check(&world, "p", "a", "again", &first);
}

/* Purged and condemned, and somebody pushes the bytes under another name. */
static void test_pushed_again_within_the_grace(void **state)
{
    push("once", &second);
    trash("once");
    world_sleep(7 * DAY_S);
    expect("condemned", 6);
    push("twice", &second);
    world_sleep(2 * DAY_S);
    expect("deleted_blobs", 0);
    sample_check(&world, "p", "a", "twice", &second);
}

/* A store that is not the one it was: nothing is touched. */
static void test_a_store_that_is_away(void **state)
{
    cleanup(job_release) struct job job;
    size_t objects;

    trash("twice");
    world_sleep(7 * DAY_S);
    expect("condemned", 6);
    world_sleep(DAY_S);
    objects = world_object_count(&world);
    fault_store_fail(world.store, 0, -EBADMSG, 1);
    run(JOB_FAILED, &job);
    fault_store_heal(world.store);
    assert_int_equal(number_of(&job, "deleted_blobs"), 0);
    assert_int_equal(world_object_count(&world), objects);
    expect("deleted_blobs", 6);
}

/* What could not be removed is removed later. */
static void test_objects_that_do_not_go(void **state)
{
    size_t before = world_object_count(&world), count;
    cleanup(job_release) struct job job;

    push("stubborn", &second);
    trash("stubborn");
    world_sleep(7 * DAY_S);
    expect("condemned", 6);
    world_sleep(DAY_S);
    fault_store_fail_removals(world.store, -EIO);
    run(JOB_DONE, &job);
    assert_int_equal(number_of(&job, "deleted_blobs"), 6);
    assert_int_equal(number_of(&job, "removed_objects"), 0);
    fault_store_heal(world.store);
    job_release(&job);
    run(JOB_DONE, &job);
    assert_int_equal(record_store_tell_purged(world.services, &count, NULL), 0);
    assert_int_equal(world_object_count(&world), before + 1);
}

static void test_a_look_and_asking(void **state)
{
    struct collection_preview preview;
    cleanup(job_release) struct job job;
    size_t count;

    assert_int_equal(collection_ask(world.services, &count, NULL), 0);
    assert_int_equal(count, 0);
    push("looked-at", &second);
    trash("looked-at");
    world_sleep(7 * DAY_S);
    assert_int_equal(collection_look(world.services, &preview, NULL), 0);
    assert_int_equal(preview.due_versions, 1);
    assert_int_equal(preview.blobs.candidates, 0);
    assert_int_equal(collection_ask(world.services, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_int_equal(collection_ask(world.services, &count, NULL), 0);
    assert_int_equal(count, 0); /* it waits already */
    assert_int_equal(jobs_work(world.services, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_int_equal(collection_look(world.services, &preview, NULL), 0);
    assert_int_equal(preview.due_versions, 0);
    assert_int_equal(preview.blobs.condemned, 6);
    assert_int_equal(preview.blobs.due, 0);
    run(JOB_DONE, &job);
}

/* The work is that of what was purged, however much there is beside it. */
static void test_cost(void **state)
{
    struct sample sample;
    cleanup(job_release) struct job job;
    char name[16];

    for (uint32_t i = 0; i < 40; i++) {
        sample_make(&sample, 100 + i, 3, 100);
        snprintf(name, sizeof(name), "c%u", i);
        push(name, &sample);
        sample_release(&sample);
    }
    trash("c7");
    world_sleep(7 * DAY_S);
    run(JOB_DONE, &job);
    assert_int_equal(number_of(&job, "purged_versions"), 1);
    assert_int_equal(number_of(&job, "candidates"), 6);
    assert_int_equal(number_of(&job, "condemned"), 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_whole_way),
        cmocka_unit_test(test_what_was_deleted_is_pushed_again),
        cmocka_unit_test(test_restored_in_time),
        cmocka_unit_test(test_pushed_again_within_the_grace),
        cmocka_unit_test(test_a_store_that_is_away),
        cmocka_unit_test(test_objects_that_do_not_go),
        cmocka_unit_test(test_a_look_and_asking),
        cmocka_unit_test(test_cost),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
