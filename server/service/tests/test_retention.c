/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "server/security/access.h"
#include "server/service/jobs.h"
#include "server/service/projects.h"
#include "server/service/retention.h"
#include "server/service/tests/world.h"

#define DAY_S 86400

static struct world world;
static struct sample same; /* what most versions are: they share every byte */

static int setup(void **state)
{
    world_open(&world, WORLD_MEMORY);
    sample_make(&same, 1, 2, 5000);
    return 0;
}

static int teardown(void **state)
{
    sample_release(&same);
    world_close(&world);
    return 0;
}

static void push(const char *app, unsigned first, unsigned count, const struct sample *sample)
{
    enum pushes_outcome outcome;
    char name[16];

    for (unsigned i = first; i < first + count; i++) {
        snprintf(name, sizeof(name), "v%u", i);
        assert_int_equal(sample_push(&world, &world.caller, "p", app, name, sample, &outcome, NULL,
                                     NULL, NULL),
                         0);
        world_sleep(1);
    }
}

/* The job of what was asked for, to its end. */
static void work(const char *id, enum job_state expected, struct job *out)
{
    size_t count;

    assert_int_equal(jobs_work(world.services, &count, NULL), 0);
    *out = (struct job){ .number = 0 };
    assert_int_equal(jobs_get(world.services, &world.caller.identity, id, out, NULL, NULL), 0);
    if (out->state != expected)
        print_message("%s\n", out->problem != NULL ? out->problem : "no problem");
    assert_int_equal(out->state, expected);
}

static int ask(const struct caller *caller, const char *app, bool force, struct job *out,
               struct refusal *why)
{
    const struct retention_request request = { "p", app, force };

    *out = (struct job){ .number = 0 };
    return retention_ask(world.services, caller, &request, out, why, NULL);
}

static int64_t number_of(const struct job *job, const char *object, const char *name)
{
    struct json *json;
    const struct json_value *root;
    int64_t value = -1;

    assert_non_null(job->result);
    assert_int_equal(json_parse(span_text(job->result), &json, NULL), 0);
    root = object != NULL ? json_member(json_root(json), object) : json_root(json);
    assert_int_equal(json_member_integer(root, name, &value, NULL), 0);
    json_free(json);
    return value;
}

static void test_the_newest_stay(void **state)
{
    cleanup(job_release) struct job asked = { 0 }, job = { 0 };
    struct refusal why = { 0 };

    push("few", 1, 13, &same);
    world_sleep(DAY_S);
    assert_int_equal(ask(&world.caller, "few", false, &asked, &why), 0);
    work(asked.id, JOB_DONE, &job);
    assert_int_equal(number_of(&job, NULL, "trashed"), 3);
    assert_int_equal(number_of(&job, "kept", "newest"), 10);
    assert_int_equal(number_of(&job, NULL, "bytes"), 0);
    assert_non_null(strstr(job.result, "[\"p/few/v1\",\"p/few/v2\",\"p/few/v3\"]"));
    sample_check(&world, "p", "few", "v13", &same);
}

static void test_min_age(void **state)
{
    cleanup(job_release) struct job asked = { 0 }, job = { 0 };

    push("young", 1, 12, &same);
    assert_int_equal(ask(&world.caller, "young", false, &asked, NULL), 0);
    work(asked.id, JOB_DONE, &job);
    assert_int_equal(number_of(&job, NULL, "trashed"), 0);
    assert_int_equal(number_of(&job, "kept", "min-age"), 2);
}

/* More than a fifth of an app, and more than five: refused where it is asked, failed where more is
 * too much since; forced, it is done. */
static void test_safety_limit_of_an_app(void **state)
{
    cleanup(job_release) struct job asked = { 0 }, again = { 0 }, failed = { 0 }, done = { 0 };
    struct refusal why = { 0 };

    push("many", 1, 16, &same);
    world_sleep(DAY_S);
    assert_int_equal(ask(&world.caller, "many", false, &asked, &why), -EBUSY);
    assert_int_equal(why.code, REFUSAL_SAFETY_LIMIT);
    assert_int_equal(jobs_submit(world.services, &world.caller, "retention", "p", "many",
                                 "{\"force\":false}", &again, NULL),
                     0);
    work(again.id, JOB_FAILED, &failed);
    assert_int_equal(strncmp(failed.problem, "safety-limit: ", 14), 0);
    assert_int_equal(number_of(&failed, NULL, "trashed"), 0);
    assert_int_equal(ask(&world.caller, "many", true, &asked, NULL), 0);
    work(asked.id, JOB_DONE, &done);
    assert_int_equal(number_of(&done, NULL, "trashed"), 6);
}

static void test_five_are_never_too_many_of_an_app(void **state)
{
    cleanup(job_release) struct job asked = { 0 }, job = { 0 };

    push("five", 1, 15, &same);
    world_sleep(DAY_S);
    assert_int_equal(ask(&world.caller, "five", false, &asked, NULL), 0);
    work(asked.id, JOB_DONE, &job);
    assert_int_equal(number_of(&job, NULL, "trashed"), 5);
}

/* One version, which has most of the bytes that there are. */
static void test_safety_limit_of_all_bytes(void **state)
{
    cleanup(job_release) struct job asked = { 0 }, job = { 0 };
    struct refusal why = { 0 };
    struct sample large;

    sample_make(&large, 7, 1, 400000);
    push("large", 1, 1, &large);
    push("large", 2, 10, &same);
    world_sleep(DAY_S);
    assert_int_equal(ask(&world.caller, "large", false, &asked, &why), -EBUSY);
    assert_int_equal(why.code, REFUSAL_SAFETY_LIMIT);
    assert_int_equal(ask(&world.caller, "large", true, &asked, NULL), 0);
    work(asked.id, JOB_DONE, &job);
    assert_true(number_of(&job, NULL, "bytes") >= 400000);
    sample_release(&large);
}

/* The run of the clock, without force, and how many of an app went. */
static unsigned run_all(const char *app)
{
    const struct retention_request request = { NULL, NULL, false };
    cleanup(job_release) struct job asked = { 0 }, job = { 0 };
    unsigned count = 0;
    char name[16];

    assert_int_equal(retention_ask(world.services, &world.caller, &request, &asked, NULL, NULL), 0);
    work(asked.id, JOB_DONE, &job);
    snprintf(name, sizeof(name), "\"p/%s/", app);
    for (const char *at = job.result; (at = strstr(at, name)) != NULL; at++)
        count++;
    return count;
}

static void push_own(const char *app, unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        struct sample own;

        sample_make(&own, 1000 + i, 1, 5000);
        push(app, i, 1, &own);
        sample_release(&own);
    }
}

/* An app to which much is pushed loses as much each day, of its versions and of all bytes: what
 * came of age since the last run. */
static void test_a_busy_app_needs_no_force(void **state)
{
    assert_int_equal(run_all("busy"), 0);
    push_own("busy", 1, 40);
    world_sleep(DAY_S / 2);
    assert_int_equal(run_all("busy"), 0);
    world_sleep(DAY_S / 2);
    push_own("busy", 41, 3);
    assert_int_equal(run_all("busy"), 33);
    world_sleep(DAY_S);
    push_own("busy", 44, 20);
    assert_int_equal(run_all("busy"), 10);
    world_sleep(DAY_S);
    assert_int_equal(run_all("busy"), 10);
}

/* A run by a clock that was a month ahead is none to go by: else each that follows would be refused
 * until that month is over. */
static void test_a_run_in_the_future(void **state)
{
    assert_int_equal(run_all("ahead"), 0);
    push_own("ahead", 1, 30);
    world_sleep(30 * DAY_S);
    assert_int_equal(run_all("ahead"), 20);
    world_sleep(-29 * DAY_S);
    push_own("ahead", 31, 20);
    world_sleep(DAY_S);
    assert_int_equal(run_all("ahead"), 20);
}

/* One push a day, one that goes each day; then somebody says that two are enough. */
static void test_safety_limit_of_changed_rules(void **state)
{
    const int64_t two = 2;
    struct retention_request request = { NULL, NULL, false };
    cleanup(job_release) struct job asked = { 0 }, job = { 0 };
    struct refusal why = { 0 };
    struct app_info app;

    assert_int_equal(run_all("daily"), 0);
    for (unsigned i = 1; i <= 14; i++) {
        world_sleep(DAY_S);
        push_own("daily", i, 1);
        assert_int_equal(run_all("daily"), i > 10 ? 1 : 0);
    }
    world_sleep(DAY_S);
    assert_int_equal(apps_put(world.services, &world.caller, "p", "daily", &two, &app, &why, NULL),
                     0);
    assert_int_equal(retention_ask(world.services, &world.caller, &request, &asked, &why, NULL),
                     -EBUSY);
    assert_int_equal(why.code, REFUSAL_SAFETY_LIMIT);
    request.force = true;
    assert_int_equal(retention_ask(world.services, &world.caller, &request, &asked, NULL, NULL), 0);
    work(asked.id, JOB_DONE, &job);
    assert_int_equal(number_of(&job, NULL, "trashed"), 8);
}

/* Several batches, and every app of the project. */
static void test_all_of_a_project(void **state)
{
    cleanup(job_release) struct job asked = { 0 }, job = { 0 };
    struct retention_request request = { "p", NULL, true };

    push("batch-a", 1, 70, &same);
    push("batch-b", 1, 12, &same);
    world_sleep(DAY_S);
    assert_int_equal(retention_ask(world.services, &world.caller, &request, &asked, NULL, NULL), 0);
    work(asked.id, JOB_DONE, &job);
    assert_true(number_of(&job, NULL, "trashed") >= 62);
    assert_int_equal(job.done + 50 >= job.total, 1);
}

/* A server that stops leaves the rest for the next, which begins again. */
static void test_begun_again(void **state)
{
    cleanup(job_release) struct job asked = { 0 }, waiting = { 0 }, job = { 0 };

    push("stop", 1, 12, &same);
    world_sleep(DAY_S);
    assert_int_equal(ask(&world.caller, "stop", true, &asked, NULL), 0);
    services_stop(world.services);
    work(asked.id, JOB_QUEUED, &waiting);
    world_restart(&world);
    work(asked.id, JOB_DONE, &job);
    assert_int_equal(number_of(&job, NULL, "trashed"), 2);
}

static void test_who_may(void **state)
{
    struct caller pusher, admin, puller, foreign;
    struct refusal why = { 0 };
    struct retention_preview preview;
    struct retention_request request = { NULL, NULL, false };
    cleanup(job_release) struct job job = { 0 };

    push("mine", 1, 11, &same);
    push("theirs", 1, 11, &same);
    world_sleep(DAY_S);
    world_token(&world, "p", "mine", ACCESS_PUSH, &pusher, (char[64]){ 0 });
    world_token(&world, "p", "mine", ACCESS_ADMIN, &admin, (char[64]){ 0 });
    world_token(&world, "p", "mine", ACCESS_PULL, &puller, (char[64]){ 0 });
    world_token(&world, "q", NULL, ACCESS_ADMIN, &foreign, (char[64]){ 0 });
    assert_int_equal(ask(&pusher, "theirs", false, &job, &why), -ENOENT);
    assert_int_equal(ask(&pusher, "mine", true, &job, &why), -EACCES);
    assert_int_equal(ask(&puller, "mine", false, &job, &why), -EACCES);
    assert_int_equal(ask(&foreign, "mine", false, &job, &why), -ENOENT);
    assert_int_equal(ask(&world.caller, "none", false, &job, &why), -ENOENT);
    assert_int_equal(why.code, REFUSAL_NOT_FOUND);
    /* of everything: what its scope has */
    assert_int_equal(retention_preview(world.services, &admin.identity, &request, NULL, &preview,
                                       &why, NULL),
                     0);
    assert_int_equal(preview.count, 1);
    assert_string_equal(preview.items[0].app, "mine");
    retention_preview_release(&preview);
    assert_int_equal(ask(&pusher, "mine", false, &job, &why), 0);
    request.app = "mine";
    assert_int_equal(retention_preview(world.services, &world.caller.identity, &request, NULL,
                                       &preview, &why, NULL),
                     -EINVAL);
    assert_string_equal(why.pointer, "/app");
}

static void test_pages_of_a_preview(void **state)
{
    struct page_request page = { .limit = 2 };
    struct retention_request request = { "p", "pages", false };
    struct retention_preview preview;
    struct refusal why = { 0 };
    char cursor[CURSOR_SIZE];
    size_t seen = 0;

    push("pages", 1, 15, &same);
    world_sleep(DAY_S);
    do {
        assert_int_equal(retention_preview(world.services, &world.caller.identity, &request, &page,
                                           &preview, &why, NULL),
                         0);
        seen += preview.count;
        assert_int_equal(preview.sum.counts[RETENTION_GOES], 5);
        memcpy(cursor, preview.next_cursor, sizeof(cursor));
        page.cursor = cursor;
        retention_preview_release(&preview);
    } while (cursor[0] != '\0');
    assert_int_equal(seen, 5);
    page.cursor = "0601";
    assert_int_equal(retention_preview(world.services, &world.caller.identity, &request, &page,
                                       &preview, &why, NULL),
                     -EINVAL);
    assert_int_equal(why.code, REFUSAL_VALIDATION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_newest_stay),
        cmocka_unit_test(test_min_age),
        cmocka_unit_test(test_safety_limit_of_an_app),
        cmocka_unit_test(test_five_are_never_too_many_of_an_app),
        cmocka_unit_test(test_safety_limit_of_all_bytes),
        cmocka_unit_test(test_a_busy_app_needs_no_force),
        cmocka_unit_test(test_a_run_in_the_future),
        cmocka_unit_test(test_safety_limit_of_changed_rules),
        cmocka_unit_test(test_all_of_a_project),
        cmocka_unit_test(test_begun_again),
        cmocka_unit_test(test_who_may),
        cmocka_unit_test(test_pages_of_a_preview),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
