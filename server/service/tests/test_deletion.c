/* SPDX-License-Identifier: MIT */
#include "server/service/deletion.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/versions.h"
#include "server/security/access.h"
#include "server/service/jobs.h"
#include "server/service/promotions.h"
#include "server/service/tests/world.h"
#include "server/service/versions.h"

static struct world world;
static struct sample same; /* what every version is */

static int setup(void **state)
{
    world_open(&world, WORLD_MEMORY);
    sample_make(&same, 1, 2, 500);
    return 0;
}

static int teardown(void **state)
{
    sample_release(&same);
    world_close(&world);
    return 0;
}

static void push(const char *project, const char *app, unsigned count)
{
    enum pushes_outcome outcome;
    char name[16];

    for (unsigned i = 1; i <= count; i++) {
        snprintf(name, sizeof(name), "v%u", i);
        assert_int_equal(sample_push(&world, &world.caller, project, app, name, &same, &outcome,
                                     NULL, NULL, NULL),
                         0);
    }
}

static int ask(const struct caller *caller, const char *project, const char *app, bool force,
               struct job *out, struct refusal *why)
{
    job_release(out);
    *why = (struct refusal){ .code = REFUSAL_NONE };
    return deletion_ask(world.services, caller, project, app, force, out, why, NULL);
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

static int promote(const char *project, const char *app, const char *version)
{
    const struct promotion_request request = { .project = project, .app = app, .version = version };
    struct channel channel;

    return promotions_promote(world.services, &world.caller, &request, &channel, NULL, NULL);
}

static int look(const char *project, const char *app)
{
    cleanup(app_info_release) struct app_info info = { 0 };

    return apps_get(world.services, &world.caller.identity, project, app, &info, NULL, NULL);
}

static int restore(const char *project, const char *app, const char *version)
{
    cleanup(version_info_release) struct version_info info = { 0 };

    return versions_restore(world.services, &world.caller, project, app, version, &info, NULL,
                            NULL);
}

static void test_an_app(void **state)
{
    cleanup(job_release) struct job asked = { 0 }, job = { 0 };
    struct refusal why;

    push("p", "small", 2);
    assert_int_equal(ask(&world.caller, "p", "small", false, &asked, &why), 0);
    assert_string_equal(asked.kind, "delete");
    work(asked.id, JOB_DONE, &job);
    assert_string_equal(job.result, "{\"trashed\":2,\"apps\":1,"
                                    "\"versions\":[\"p/small/v1\",\"p/small/v2\"]}");
    assert_int_equal(job.done, 0);
    assert_int_equal(look("p", "small"), -ENOENT);
    assert_int_equal(ask(&world.caller, "p", "small", false, &asked, &why), -ENOENT);
    assert_int_equal(why.code, REFUSAL_NOT_FOUND);
    assert_int_equal(restore("p", "small", "v2"), 0);
    assert_int_equal(look("p", "small"), 0);
    sample_check(&world, "p", "small", "v2", &same);
}

/* Several batches, several apps. */
static void test_a_project(void **state)
{
    cleanup(job_release) struct job asked = { 0 }, job = { 0 };
    cleanup(project_page_release) struct project_page page = { 0 };
    struct project_info info;
    struct refusal why;

    push("whole", "a", 120);
    push("whole", "b", 3);
    assert_int_equal(ask(&world.caller, "whole", NULL, false, &asked, &why), 0);
    work(asked.id, JOB_DONE, &job);
    assert_non_null(
        strstr(job.result, "{\"trashed\":123,\"apps\":2,\"versions\":[\"whole/a/v1\","));
    assert_non_null(strstr(job.result, "\"whole/b/v3\"]}"));
    assert_int_equal(projects_get(world.services, &world.caller.identity, "whole", &info, NULL,
                                  NULL),
                     -ENOENT);
    assert_int_equal(projects_list(world.services, &world.caller.identity, NULL, &page, NULL, NULL),
                     0);
    for (size_t i = 0; i < page.count; i++)
        assert_string_not_equal(page.items[i].project, "whole");
}

static void test_what_protects(void **state)
{
    cleanup(job_release) struct job asked = { 0 }, job = { 0 };
    struct refusal why;

    push("p", "live", 2);
    assert_int_equal(promote("p", "live", "v2"), 1);
    assert_int_equal(ask(&world.caller, "p", "live", false, &asked, &why), -EBUSY);
    assert_int_equal(why.code, REFUSAL_PROMOTED);
    assert_int_equal(why.name_count, 1);
    assert_string_equal(why.names, "live");
    assert_int_equal(why.version_count, 1);
    assert_string_equal(why.versions, "p/live/v2");
    assert_int_equal(ask(&world.caller, "p", NULL, false, &asked, &why), -EBUSY);
    sample_check(&world, "p", "live", "v1", &same);
    assert_int_equal(ask(&world.caller, "p", "live", true, &asked, &why), 0);
    assert_int_equal(promote("p", "live", "v1"), -EINPROGRESS);
    work(asked.id, JOB_DONE, &job);
    assert_string_equal(job.params, "{\"force\":true}");
    assert_int_equal(look("p", "live"), -ENOENT);
}

/* What became protected since is left alone, and the job says why it went no further. */
static void test_pinned_in_the_middle(void **state)
{
    cleanup(job_release) struct job asked = { 0 }, failed = { 0 }, again = { 0 }, done = { 0 };
    cleanup(version_info_release) struct version_info info = { 0 };
    const struct version_wish wish = { .set_pinned = true, .pinned = true };
    struct refusal why;

    push("p", "late", 60);
    assert_int_equal(ask(&world.caller, "p", "late", false, &asked, &why), 0);
    assert_int_equal(versions_change(world.services, &world.caller, "p", "late", "v60", &wish,
                                     &info, NULL, NULL),
                     0);
    work(asked.id, JOB_FAILED, &failed);
    assert_string_equal(failed.problem, "pinned: version v60 is pinned");
    assert_non_null(strstr(failed.result, "{\"trashed\":50,\"apps\":0,"));
    assert_int_equal(look("p", "late"), 0);
    sample_check(&world, "p", "late", "v60", &same);
    assert_int_equal(ask(&world.caller, "p", "late", false, &again, &why), -EBUSY);
    assert_int_equal(why.code, REFUSAL_PINNED);
    assert_int_equal(ask(&world.caller, "p", "late", true, &again, &why), 0);
    work(again.id, JOB_DONE, &done);
    assert_non_null(strstr(done.result, "{\"trashed\":10,\"apps\":1,"));
}

/* A server that stops leaves it for the next; a place stays shut meanwhile. */
static void test_begun_again(void **state)
{
    cleanup(job_release) struct job asked = { 0 }, waiting = { 0 }, job = { 0 };
    enum pushes_outcome outcome;
    struct refusal why;

    push("p", "stop", 3);
    assert_int_equal(ask(&world.caller, "p", "stop", false, &asked, &why), 0);
    services_stop(world.services);
    work(asked.id, JOB_QUEUED, &waiting);
    world_restart(&world);
    assert_int_equal(sample_push(&world, &world.caller, "p", "stop", "v9", &same, &outcome, NULL,
                                 &why, NULL),
                     -EINPROGRESS);
    work(asked.id, JOB_DONE, &job);
    assert_int_equal(sample_push(&world, &world.caller, "p", "stop", "v9", &same, &outcome, NULL,
                                 &why, NULL),
                     0);
    assert_int_equal(look("p", "stop"), 0);
}

/* It ran in a server that died, and was cancelled meanwhile. */
static void test_cancelled(void **state)
{
    cleanup(job_release) struct job asked = { 0 }, taken = { 0 }, cancelled = { 0 }, job = { 0 };
    struct refusal why;

    push("p", "kept", 2);
    assert_int_equal(ask(&world.caller, "p", "kept", false, &asked, &why), 0);
    assert_int_equal(job_claim(world.database, "delete", "another", 60, &taken, NULL), 1);
    assert_int_equal(jobs_cancel(world.services, &world.caller, asked.id, &cancelled, NULL, NULL),
                     0);
    assert_int_equal(cancelled.state, JOB_RUNNING);
    world_sleep(100);
    work(asked.id, JOB_CANCELLED, &job);
    assert_non_null(strstr(job.result, "{\"trashed\":0,\"apps\":0,"));
    assert_int_equal(promote("p", "kept", "v1"), 1);
    sample_check(&world, "p", "kept", "v2", &same);
}

/* Wherever memory ends: what was asked for is done when there is some again, or the place is as
 * open as it was. */
static void test_out_of_memory(void **state)
{
    bool is_done = false;

    for (int64_t n = 0; !is_done; n++) {
        cleanup(job_release) struct job asked = { 0 };
        struct refusal why;
        size_t count;
        int r;

        push("p", "little", 2);
        memory_fail_after(n);
        r = ask(&world.caller, "p", "little", false, &asked, &why);
        if (r == 0)
            (void)jobs_work(world.services, &count, NULL);
        is_done = !memory_failed();
        memory_fail_after(-1);
        assert_true(r == 0 || r == -ENOMEM);
        assert_int_equal(jobs_work(world.services, &count, NULL), 0);
        assert_int_not_equal(restore("p", "little", "v1"), -EINPROGRESS);
        assert_int_not_equal(ask(&world.caller, "p", "little", false, &asked, &why), -EINPROGRESS);
        assert_int_equal(jobs_work(world.services, &count, NULL), 0);
        assert_int_equal(look("p", "little"), -ENOENT);
        assert_int_equal(restore("p", "little", "v1"), 0);
        assert_int_equal(restore("p", "little", "v2"), 0);
        sample_check(&world, "p", "little", "v1", &same);
    }
}

static void test_who_may(void **state)
{
    cleanup(job_release) struct job job = { 0 }, cancelled = { 0 };
    struct caller pusher, admin, foreign, whole;
    struct refusal why;

    push("p", "mine", 1);
    push("p", "theirs", 1);
    world_token(&world, "p", "mine", ACCESS_PUSH | ACCESS_PROMOTE | ACCESS_PULL, &pusher,
                (char[64]){ 0 });
    world_token(&world, "p", "mine", ACCESS_ADMIN, &admin, (char[64]){ 0 });
    world_token(&world, "q", NULL, ACCESS_ADMIN, &foreign, (char[64]){ 0 });
    world_token(&world, "p", NULL, ACCESS_PUSH, &whole, (char[64]){ 0 });
    assert_int_equal(ask(&pusher, "p", "mine", false, &job, &why), -EACCES);
    assert_int_equal(why.code, REFUSAL_INSUFFICIENT_SCOPE);
    assert_int_equal(ask(&whole, "p", NULL, false, &job, &why), -EACCES);
    assert_int_equal(ask(&admin, "p", "theirs", false, &job, &why), -ENOENT);
    assert_int_equal(ask(&foreign, "p", "mine", false, &job, &why), -ENOENT);
    assert_true(ask(&admin, "p", NULL, false, &job, &why) < 0);
    assert_int_equal(ask(&admin, "p", "mine", false, &job, &why), 0);
    assert_int_equal(jobs_cancel(world.services, &pusher, job.id, &cancelled, &why, NULL), -EACCES);
    assert_int_equal(why.code, REFUSAL_INSUFFICIENT_SCOPE);
    assert_int_equal(jobs_cancel(world.services, &foreign, job.id, &cancelled, &why, NULL),
                     -ENOENT);
    assert_int_equal(jobs_cancel(world.services, &admin, job.id, &cancelled, &why, NULL), 0);
    assert_int_equal(cancelled.state, JOB_CANCELLED);
    assert_int_equal(promote("p", "mine", "v1"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_app),        cmocka_unit_test(test_a_project),
        cmocka_unit_test(test_what_protects), cmocka_unit_test(test_pinned_in_the_middle),
        cmocka_unit_test(test_begun_again),   cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_who_may),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
