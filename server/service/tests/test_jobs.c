/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "server/security/access.h"
#include "server/service/jobs.h"
#include "server/service/services.h"
#include "server/service/tests/world.h"

static struct world world;

static int setup(void **state)
{
    world_open(&world, WORLD_MEMORY);
    return 0;
}

static int teardown(void **state)
{
    world_close(&world);
    return 0;
}

static void ask(const char *project, const char *app, struct job *out)
{
    *out = (struct job){ .number = 0 };
    assert_int_equal(jobs_submit(world.services, &world.caller, "gc", project, app, NULL, out,
                                 NULL),
                     0);
}

static int look(const struct caller *caller, const char *id, enum job_state *out_state)
{
    cleanup(job_release) struct job job = { 0 };
    struct refusal why = { 0 };
    int r = jobs_get(world.services, &caller->identity, id, &job, &why, NULL);

    if (r < 0)
        assert_int_equal(why.code, REFUSAL_NOT_FOUND);
    *out_state = job.state;
    return r;
}

static void test_asked_for_and_done(void **state)
{
    cleanup(job_release) struct job asked;
    enum job_state found;
    size_t count;

    ask(NULL, NULL, &asked);
    assert_int_equal(look(&world.caller, asked.id, &found), 0);
    assert_int_equal(found, JOB_QUEUED);
    assert_int_equal(jobs_work(world.services, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_int_equal(look(&world.caller, asked.id, &found), 0);
    assert_int_equal(found, JOB_DONE);
    assert_int_equal(jobs_work(world.services, &count, NULL), 0);
    assert_int_equal(count, 0);
}

/* One that ends its server each time is given up, and what is asked for then is not. */
static void test_one_that_never_ends(void **state)
{
    cleanup(job_release) struct job asked, next, ended = { 0 };
    enum job_state found;
    size_t count;

    ask(NULL, NULL, &asked);
    for (int i = 0; i < JOBS_BEGUN_MAX; i++) {
        cleanup(job_release) struct job taken = { 0 };

        assert_int_equal(job_claim(world.database, "delete", "one that crashes", 60, &taken, NULL),
                         1);
        world_sleep(61);
    }
    assert_int_equal(jobs_work(world.services, &count, NULL), 0);
    assert_int_equal(jobs_get(world.services, &world.caller.identity, asked.id, &ended, NULL, NULL),
                     0);
    assert_int_equal(ended.state, JOB_FAILED);
    assert_string_equal(ended.problem, "it was begun 5 times and never came to an end");
    ask(NULL, NULL, &next);
    assert_int_equal(jobs_work(world.services, &count, NULL), 0);
    assert_int_equal(look(&world.caller, next.id, &found), 0);
    assert_int_equal(found, JOB_DONE);
}

/* Four times is no reason. */
static void test_one_that_ends_at_last(void **state)
{
    cleanup(job_release) struct job asked;
    enum job_state found;
    size_t count;

    ask(NULL, NULL, &asked);
    for (int i = 1; i < JOBS_BEGUN_MAX; i++) {
        cleanup(job_release) struct job taken = { 0 };

        assert_int_equal(job_claim(world.database, "delete", "one that crashes", 60, &taken, NULL),
                         1);
        world_sleep(61);
    }
    assert_int_equal(jobs_work(world.services, &count, NULL), 0);
    assert_int_equal(look(&world.caller, asked.id, &found), 0);
    assert_int_equal(found, JOB_DONE);
}

static void test_what_nobody_knows(void **state)
{
    struct job job = { 0 };
    enum job_state found;

    assert_int_equal(jobs_submit(world.services, &world.caller, "nothing", NULL, NULL, NULL, &job,
                                 NULL),
                     -EINVAL);
    assert_int_equal(look(&world.caller, "0123456789abcdef0123456789abcdef", &found), -ENOENT);
}

/* A token of one app sees the jobs of that app, and no other. */
static void test_scopes(void **state)
{
    cleanup(job_release) struct job whole, of_app, of_other;
    cleanup(job_page_release) struct job_page page = { 0 };
    struct caller caller;
    enum job_state found;

    world_token(&world, "p", "a", ACCESS_ADMIN, &caller, (char[64]){ 0 });
    ask(NULL, NULL, &whole);
    ask("p", "a", &of_app);
    ask("p", "b", &of_other);
    assert_int_equal(look(&caller, whole.id, &found), -ENOENT);
    assert_int_equal(look(&caller, of_app.id, &found), 0);
    assert_int_equal(look(&caller, of_other.id, &found), -ENOENT);
    assert_int_equal(jobs_list(world.services, &caller.identity, NULL, &page, NULL, NULL), 0);
    assert_int_equal(page.count, 1);
    assert_string_equal(page.items[0].id, of_app.id);
    assert_int_equal(jobs_cancel(world.services, &caller, of_other.id, &whole, NULL, NULL),
                     -ENOENT);
}

static int fill_result(struct job_run *run, void *context, struct error *err)
{
    struct buf *result = job_result(run);

    buf_add_byte(result, '"');
    for (unsigned i = 0; i < 1000000; i++)
        buf_add_byte(result, 'x');
    buf_add_byte(result, '"');
    return buf_check(result, err);
}

static void test_a_page_of_long_results_ends_early(void **state)
{
    struct page_request request = { .limit = 500 };
    size_t size = 0, seen = 0, pages = 0;
    char cursor[CURSOR_SIZE] = "";

    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(jobs_do(world.services, "backup", fill_result, NULL, NULL), 0);
    do {
        cleanup(job_page_release) struct job_page page = { 0 };

        assert_int_equal(jobs_list(world.services, &world.caller.identity, &request, &page, NULL,
                                   NULL),
                         0);
        size = 0;
        for (size_t i = 0; i < page.count; i++) {
            size += page.items[i].result != NULL ? strlen(page.items[i].result) : 0;
            seen += strcmp(page.items[i].kind, "backup") == 0;
        }
        assert_true(page.count > 0 && size <= (size_t)16 << 20);
        pages++;
        memcpy(cursor, page.next_cursor, sizeof(cursor));
        request.cursor = cursor;
    } while (cursor[0] != '\0');
    assert_int_equal(seen, 20);
    assert_int_equal(pages, 2);
}

/* Whoever may push everywhere is no administrator. */
static void test_what_is_of_the_whole_server(void **state)
{
    cleanup(job_release) struct job whole, of_app, cancelled = { 0 };
    cleanup(job_page_release) struct job_page page = { 0 };
    struct caller caller;
    enum job_state found;
    size_t count;

    world_token(&world, NULL, NULL, ACCESS_PULL | ACCESS_PUSH | ACCESS_PROMOTE, &caller,
                (char[64]){ 0 });
    assert_int_equal(jobs_work(world.services, &count, NULL), 0);
    ask(NULL, NULL, &whole);
    ask("p", "c", &of_app);
    assert_int_equal(look(&caller, whole.id, &found), -ENOENT);
    assert_int_equal(jobs_cancel(world.services, &caller, whole.id, &cancelled, NULL, NULL),
                     -ENOENT);
    assert_int_equal(look(&world.caller, whole.id, &found), 0);
    assert_int_equal(found, JOB_QUEUED);
    assert_int_equal(look(&caller, of_app.id, &found), 0);
    assert_int_equal(jobs_list(world.services, &caller.identity, NULL, &page, NULL, NULL), 0);
    assert_string_equal(page.items[0].id, of_app.id);
    for (size_t i = 0; i < page.count; i++)
        assert_string_not_equal(page.items[i].project, "");
    assert_int_equal(jobs_work(world.services, &count, NULL), 0);
}

static void test_cancelled_before_its_turn(void **state)
{
    cleanup(job_release) struct job asked, cancelled = { 0 };
    enum job_state found;
    size_t count;

    assert_int_equal(jobs_work(world.services, &count, NULL), 0);
    ask(NULL, NULL, &asked);
    assert_int_equal(jobs_cancel(world.services, &world.caller, asked.id, &cancelled, NULL, NULL),
                     0);
    assert_int_equal(jobs_work(world.services, &count, NULL), 0);
    assert_int_equal(count, 0);
    assert_int_equal(look(&world.caller, asked.id, &found), 0);
    assert_int_equal(found, JOB_CANCELLED);
}

static void test_pages(void **state)
{
    struct page_request request = { .limit = 2 };
    char last[JOB_ID_SIZE] = "", cursor[CURSOR_SIZE];
    size_t total = 0;

    do {
        cleanup(job_page_release) struct job_page page = { 0 };

        assert_int_equal(jobs_list(world.services, &world.caller.identity, &request, &page, NULL,
                                   NULL),
                         0);
        assert_true(page.count <= 2);
        assert_string_not_equal(page.items[0].id, last);
        memcpy(last, page.items[page.count - 1].id, sizeof(last));
        total += page.count;
        memcpy(cursor, page.next_cursor, sizeof(cursor));
        request.cursor = cursor[0] != '\0' ? cursor : NULL;
    } while (request.cursor != NULL);
    assert_int_equal(total, 7);
    request.cursor = "zz";
    assert_int_equal(jobs_list(world.services, &world.caller.identity, &request,
                               &(struct job_page){ 0 }, NULL, NULL),
                     -EINVAL);
}

/* A server that ends begins nothing, and what it was at stays asked for. */
static void test_a_server_that_stops(void **state)
{
    cleanup(job_release) struct job asked;
    enum job_state found;
    size_t count;

    ask(NULL, NULL, &asked);
    services_stop(world.services);
    assert_int_equal(jobs_work(world.services, &count, NULL), 0);
    assert_int_equal(count, 0);
    assert_int_equal(look(&world.caller, asked.id, &found), 0);
    assert_int_equal(found, JOB_QUEUED);
    world_restart(&world);
    assert_int_equal(jobs_work(world.services, &count, NULL), 0);
    assert_int_equal(count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_asked_for_and_done),
        cmocka_unit_test(test_what_nobody_knows),
        cmocka_unit_test(test_scopes),
        cmocka_unit_test(test_what_is_of_the_whole_server),
        cmocka_unit_test(test_cancelled_before_its_turn),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_a_server_that_stops),
        cmocka_unit_test(test_a_page_of_long_results_ends_early),
        cmocka_unit_test(test_one_that_never_ends),
        cmocka_unit_test(test_one_that_ends_at_last),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
