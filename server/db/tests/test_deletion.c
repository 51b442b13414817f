/* SPDX-License-Identifier: MIT */
#include "server/db/deletion.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/memory.h"
#include "server/db/promotions.h"
#include "server/db/purge.h"
#include "server/db/retention.h"
#include "server/db/tests/fixture.h"
#include "server/db/version_copy.h"

#define DB(state) (((struct fixture *)*(state))->database)
#define LIMIT 2

static int begin(struct database *database, const char *project, const char *app, bool force,
                 struct job *out, struct protection *out_protection)
{
    const struct job_draft draft = {
        .kind = "delete", .lane = "delete", .project = project, .app = app
    };

    *out = (struct job){ .number = 0 };
    return deletion_begin(database, &actor_host, &draft, force, out, out_protection, NULL);
}

static void claim(struct database *database, struct job *out)
{
    *out = (struct job){ .number = 0 };
    assert_int_equal(job_claim(database, "delete", "me", 60, out, NULL), 1);
}

static int step(struct database *database, const struct job *job, bool force,
                struct deletion_result *out, struct protection *out_protection)
{
    const struct deletion_step step = {
        .job = job, .force = force, .reason = "deleted", .limit = LIMIT
    };
    char versions[LIMIT][VERSION_NAME_SIZE];

    return deletion_run_step(database, &step, versions, out, out_protection, NULL);
}

static void finish(struct database *database, struct job *job)
{
    const struct job_end end = { .state = JOB_DONE };

    assert_int_equal(job_finish(database, job->number, "me", &end, NULL), 0);
    job_release(job);
}

/* All of it, as the job does. How many steps it took. */
static unsigned delete_all(struct database *database, const char *project, const char *app)
{
    struct deletion_result result = { .is_done = false };
    struct protection protection;
    struct job asked, job;
    unsigned steps = 0;

    assert_int_equal(begin(database, project, app, true, &asked, NULL), 0);
    claim(database, &job);
    assert_string_equal(job.id, asked.id);
    for (; !result.is_done; steps++)
        assert_int_equal(step(database, &job, true, &result, &protection), 0);
    job_release(&asked);
    finish(database, &job);
    return steps;
}

static int64_t count(struct database *database, const char *sql)
{
    return fixture_integer(database, sql);
}

/* Version N of shop/api has blobs and parts of its own. */
static int64_t version(struct database *database, const char *app, unsigned number)
{
    char name[16];

    snprintf(name, sizeof(name), "%u", number);
    return fixture_version(database, "shop", app, name, 1000 * number, 10 * number, 2);
}

static int promote(struct database *database, const char *channel, const char *name)
{
    const struct promotion promotion = {
        .project = "shop", .app = "api", .channel = channel, .version = name, .by = actor_host
    };
    struct promotion_result result;

    return channel_promote(database, &promotion, &result, NULL);
}

static int open_push(struct database *database, const char *app, const char *name, unsigned content)
{
    struct digest digest = fixture_digest(content);
    struct push_opening opening = { .project = "shop",
                                    .app = app,
                                    .token_id = FIXTURE_TOKEN,
                                    .version = name,
                                    .content = &digest };
    struct push_result result = { .push = push_empty() };
    int r = push_open(database, &opening, &result, NULL);
    const enum push_answer answer = result.answer;

    push_result_release(&result);
    return r < 0 ? r : (int)answer;
}

static int copy(struct database *database, int64_t from_id, const char *app)
{
    const struct version_copy copy = {
        .from_id = from_id, .project = "shop", .app = app, .version = "copied", .by = actor_host
    };
    struct push_result result = { .push = push_empty() };
    int r = version_copy(database, &copy, &result, NULL);

    push_result_release(&result);
    return r;
}

static size_t listed(struct database *database, const char *project)
{
    struct app *items = NULL;
    size_t number = 0;
    int r = app_list(database, project, NULL, NULL, 10, &items, &number, NULL);

    memory_free(items);
    return r < 0 ? 99 : number;
}

static void the_app_is_gone_and_its_versions_are_in_the_trash(void **state)
{
    struct version *items;
    struct app app;
    size_t number;

    for (unsigned i = 1; i <= 3; i++)
        version(DB(state), "api", i);
    version(DB(state), "web", 4);
    assert_int_equal(delete_all(DB(state), "shop", "api"), 2);
    assert_int_equal(app_get(DB(state), "shop", "api", &app, NULL), -ENOENT);
    assert_int_equal(listed(DB(state), "shop"), 1);
    assert_int_equal(version_list(DB(state), "shop", "api", 0, 0, 9, &items, &number, NULL),
                     -ENOENT);
    assert_int_equal(version_list_trash(DB(state), "shop", "api", 0, 0, 9, &items, &number, NULL),
                     0);
    assert_int_equal(number, 3);
    assert_string_equal(items[0].trash_reason, "deleted");
    version_list_free(items, number);
    assert_int_equal(count(DB(state), "SELECT count(*) FROM versions WHERE state = 'ready'"), 1);
    assert_int_equal(count(DB(state), "SELECT count(*) FROM audit a JOIN jobs j ON a.data ="
                                      " '{\"forced\":true,\"job\":\"' || j.id || '\"}' WHERE"
                                      " a.operation = 'version.trash' AND a.app = 'api'"),
                     3);
    assert_int_equal(count(DB(state), "SELECT count(*) FROM events WHERE type = 'app.deleted'"
                                      " AND project = 'shop' AND app = 'api' AND version IS NULL"),
                     1);
    assert_int_equal(count(DB(state), "SELECT count(*) FROM audit WHERE operation IN"
                                      " ('delete.run', 'app.delete', 'delete.end')"),
                     3);
    /* it was deleted, and is not there to be deleted */
    assert_int_equal(begin(DB(state), "shop", "api", true, &(struct job){ 0 }, NULL), -ENOENT);
    assert_int_equal(begin(DB(state), "none", NULL, true, &(struct job){ 0 }, NULL), -ENOENT);
}

static void nothing_is_made_where_something_is_being_deleted(void **state)
{
    int64_t other = version(DB(state), "web", 9), trashed = version(DB(state), "api", 2);
    int64_t number = fixture_push(DB(state), "shop", "api", FIXTURE_TOKEN);
    struct push_commit commit = { .number = number, .version = "new", .by = actor_host };
    struct push_result result = { .push = push_empty() };
    struct job job, cancelled;
    struct app app;

    version(DB(state), "api", 1);
    assert_int_equal(version_trash(DB(state), trashed, &actor_host, NULL, false, NULL, NULL), 0);
    assert_int_equal(begin(DB(state), "shop", "api", false, &job, NULL), 0);
    assert_int_equal(open_push(DB(state), "api", "3", 3000), -EINPROGRESS);
    assert_int_equal(open_push(DB(state), "api", "1", 1000), -EINPROGRESS);
    assert_int_equal(push_commit(DB(state), &commit, &result, NULL), -EINPROGRESS);
    assert_int_equal(version_restore(DB(state), trashed, &actor_host, NULL), -EINPROGRESS);
    assert_int_equal(copy(DB(state), other, "api"), -EINPROGRESS);
    assert_int_equal(promote(DB(state), "live", "1"), -EINPROGRESS);
    assert_int_equal(app_put(DB(state), "shop", "api", &actor_host, &app, NULL, NULL),
                     -EINPROGRESS);
    /* the app beside it is nobody's business */
    assert_int_equal(open_push(DB(state), "web", "3", 3000), PUSH_ANSWER_OPENED);
    assert_int_equal(job_cancel(DB(state), &actor_host, job.id, &cancelled, NULL), 0);
    assert_int_equal(cancelled.state, JOB_CANCELLED);
    assert_int_equal(promote(DB(state), "live", "1"), 0);
    assert_int_equal(version_restore(DB(state), trashed, &actor_host, NULL), 0);
    assert_int_equal(app_get(DB(state), "shop", "api", &app, NULL), 0);
    assert_int_equal(app.version_count, 2);
    job_release(&job);
    job_release(&cancelled);
}

static void protected_as(struct database *database, const char *app, enum protection_kind kind,
                         const char *by, const char *versions)
{
    struct protection protection;
    struct job job;

    assert_int_equal(begin(database, "shop", app, false, &job, &protection), -EBUSY);
    assert_int_equal(protection.kind, kind);
    assert_string_equal(protection.by.text, by);
    assert_string_equal(protection.versions.text, versions);
    assert_int_equal(count(database, "SELECT count(*) FROM jobs"), 0);
    assert_int_equal(count(database, "SELECT count(*) FROM versions WHERE state <> 'ready'"), 0);
}

static void what_protects_a_version_protects_its_place(void **state)
{
    struct protection protection;
    struct job job;

    for (unsigned i = 1; i <= 4; i++)
        version(DB(state), "api", i);
    assert_true(fixture_run(DB(state), "INSERT INTO leases SELECT '" FIXTURE_TOKEN "', 'h' || name,"
                                       " '/', id, 'mount', 'ready', 1, 1, 99999999999"
                                       " FROM versions WHERE name = '3'") >= 0);
    assert_true(fixture_run(DB(state), "UPDATE versions SET pinned = 1 WHERE name = '2'") >= 0);
    assert_int_equal(promote(DB(state), "live", "1"), 0);
    protected_as(DB(state), "api", PROTECTION_PROMOTED, "live", "shop/api/1");
    protected_as(DB(state), NULL, PROTECTION_PROMOTED, "live", "shop/api/1");
    assert_int_equal(promote(DB(state), "live", "4"), 0);
    assert_int_equal(begin(DB(state), "shop", "api", false, &job, &protection), -EBUSY);
    assert_int_equal(protection.versions.count, 2); /* also the one before */
    assert_memory_equal(protection.versions.text, "shop/api/1\0shop/api/4", 22);
    assert_int_equal(protection.by.count, 1);
    assert_true(fixture_run(DB(state), "DELETE FROM channels") >= 0);
    protected_as(DB(state), "api", PROTECTION_PINNED, "", "shop/api/2");
    protected_as(DB(state), NULL, PROTECTION_PINNED, "", "shop/api/2");
    assert_true(fixture_run(DB(state), "UPDATE versions SET pinned = 0") >= 0);
    protected_as(DB(state), "api", PROTECTION_LEASED, "h3", "shop/api/3");
    protected_as(DB(state), NULL, PROTECTION_LEASED, "h3", "shop/api/3");
    assert_true(fixture_run(DB(state), "UPDATE leases SET expires_at = 1") >= 0);
    assert_int_equal(begin(DB(state), "shop", "api", false, &job, &protection), 0);
    assert_int_equal(protection.kind, PROTECTION_NONE);
    job_release(&job);
}

/* A pin or a lease is nothing that can be refused: it protects what is left. */
static void what_came_in_the_middle_protects(void **state)
{
    struct deletion_result result;
    struct protection protection;
    struct job asked, job;

    for (unsigned i = 1; i <= 3; i++)
        version(DB(state), "api", i);
    assert_int_equal(begin(DB(state), "shop", "api", false, &asked, NULL), 0);
    claim(DB(state), &job);
    assert_int_equal(step(DB(state), &job, false, &result, &protection), 0);
    assert_int_equal(result.count, LIMIT);
    assert_false(result.is_done);
    assert_true(fixture_run(DB(state), "UPDATE versions SET pinned = 1 WHERE name = '3'") >= 0);
    assert_int_equal(step(DB(state), &job, false, &result, &protection), -EBUSY);
    assert_int_equal(protection.kind, PROTECTION_PINNED);
    assert_int_equal(listed(DB(state), "shop"), 1);
    assert_int_equal(step(DB(state), &job, true, &result, &protection), 0);
    assert_true(result.is_done);
    job_release(&asked);
    finish(DB(state), &job);
}

/* Held by a host it stays in the trash, and is read there. */
static void what_is_leased_goes_no_further_than_the_trash(void **state)
{
    int64_t ids[4];
    size_t number;

    version(DB(state), "api", 1);
    assert_true(fixture_run(DB(state), "INSERT INTO leases SELECT '" FIXTURE_TOKEN "', 'h', '/',"
                                       " id, 'mount', 'ready', 1, 1, 99999999999"
                                       " FROM versions") >= 0);
    delete_all(DB(state), "shop", "api");
    assert_int_equal(purge_due(DB(state), INT64_MAX, 4, ids, &number, NULL), 0);
    assert_int_equal(number, 0);
}

static void a_version_out_of_the_trash_brings_its_place_back(void **state)
{
    struct project project;
    struct app app;
    int64_t id = version(DB(state), "api", 1);

    version(DB(state), "api", 2);
    version(DB(state), "web", 3);
    assert_int_equal(promote(DB(state), "live", "1"), 0);
    assert_int_equal(retention_override(DB(state), "shop", "api", 7, &actor_host, NULL), 0);
    assert_int_equal(delete_all(DB(state), "shop", NULL), 4);
    assert_int_equal(project_get(DB(state), "shop", &project, NULL), -ENOENT);
    assert_int_equal(version_restore(DB(state), id, &actor_host, NULL), 0);
    assert_int_equal(project_get(DB(state), "shop", &project, NULL), 0);
    assert_int_equal(project.app_count, 1); /* the other was deleted too */
    assert_int_equal(app_get(DB(state), "shop", "api", &app, NULL), 0);
    assert_int_equal(app.version_count, 1);
    assert_int_equal(app.retain_versions, 7);
    assert_string_equal(app.live, "1");
    assert_int_equal(count(DB(state), "SELECT count(*) FROM events WHERE type IN"
                                      " ('project.restored', 'app.restored')"),
                     2);
    assert_int_equal(count(DB(state), "SELECT count(*) FROM audit WHERE operation IN"
                                      " ('project.restore', 'app.restore')"),
                     2);
}

static void a_push_of_what_is_in_the_trash_brings_it_back_too(void **state)
{
    struct app app;

    version(DB(state), "api", 1);
    delete_all(DB(state), "shop", NULL);
    assert_int_equal(open_push(DB(state), "api", "1", 7000), PUSH_ANSWER_CONFLICT);
    assert_int_equal(app_get(DB(state), "shop", "api", &app, NULL), -ENOENT);
    assert_int_equal(open_push(DB(state), "api", "1", 1000), PUSH_ANSWER_EXISTS);
    assert_int_equal(app_get(DB(state), "shop", "api", &app, NULL), 0);
    assert_int_equal(app.version_count, 1);
}

static void made_again_it_is_a_new_one_with_the_old_trash(void **state)
{
    struct version *items;
    struct project project;
    struct app app;
    bool created;
    size_t number;

    version(DB(state), "api", 1);
    delete_all(DB(state), "shop", NULL);
    fixture_now += 10;
    assert_int_equal(project_put(DB(state), "shop", &actor_host, &project, &created, NULL), 0);
    assert_true(created);
    assert_int_equal(project.app_count, 0);
    assert_int_equal(app_put(DB(state), "shop", "api", &actor_host, &app, &created, NULL), 0);
    assert_true(created);
    assert_int_equal(app.created_at_s, fixture_now);
    assert_int_equal(app.version_count, 0);
    assert_int_equal(version_list_trash(DB(state), "shop", "api", 0, 0, 9, &items, &number, NULL),
                     0);
    assert_int_equal(number, 1);
    version_list_free(items, number);
    assert_int_equal(count(DB(state), "SELECT count(*) FROM events WHERE type = 'app.created'"), 2);
}

/* One that began before and commits afterwards. */
static void a_push_that_went_on_meanwhile_makes_it_again(void **state)
{
    struct app app;
    int64_t number = fixture_push(DB(state), "shop", "api", FIXTURE_TOKEN);
    struct push_result result = { .push = push_empty() };
    struct push_commit commit;

    version(DB(state), "api", 1);
    fixture_want_range(DB(state), number, NULL, 50, 1);
    fixture_send_range(DB(state), number, 50, 1);
    commit = fixture_parts(DB(state), number, 2000, "2");
    delete_all(DB(state), "shop", NULL);
    assert_int_equal(push_commit(DB(state), &commit, &result, NULL), 0);
    assert_int_equal(result.answer, PUSH_ANSWER_CREATED);
    push_result_release(&result);
    assert_int_equal(app_get(DB(state), "shop", "api", &app, NULL), 0);
    assert_int_equal(app.version_count, 1);
}

/* History and names stay; what was set for the app, and its channels, go with its last version. */
static void with_the_last_version_goes_what_was_set(void **state)
{
    struct promotion_entry *entries;
    struct version *items;
    struct app app;
    int64_t first = version(DB(state), "api", 1), second = version(DB(state), "api", 2);
    size_t number;

    assert_int_equal(promote(DB(state), "live", "1"), 0);
    assert_int_equal(retention_override(DB(state), "shop", "api", 7, &actor_host, NULL), 0);
    assert_int_equal(retention_override(DB(state), "shop", NULL, 8, &actor_host, NULL), 0);
    delete_all(DB(state), "shop", NULL);
    assert_int_equal(version_purge(DB(state), first, INT64_MAX, &actor_host, NULL), 0);
    assert_int_equal(count(DB(state), "SELECT count(*) FROM apps WHERE retain_count = 7"), 1);
    assert_int_equal(count(DB(state), "SELECT count(*) FROM projects WHERE retain_count = 8"), 1);
    assert_int_equal(version_purge(DB(state), second, INT64_MAX, &actor_host, NULL), 0);
    assert_int_equal(count(DB(state), "SELECT count(*) FROM apps WHERE retain_count IS NULL"), 1);
    assert_int_equal(count(DB(state), "SELECT count(*) FROM projects WHERE retain_count IS NULL"),
                     1);
    assert_int_equal(count(DB(state), "SELECT count(*) FROM channels"), 0);
    assert_int_equal(version_list_trash(DB(state), "shop", "api", 0, 0, 9, &items, &number, NULL),
                     -ENOENT);
    assert_int_equal(promotion_list(DB(state), "shop", "api", NULL, 0, 9, &entries, &number, NULL),
                     0);
    assert_int_equal(number, 1);
    promotion_list_free(entries, number);
    assert_int_equal(open_push(DB(state), "api", "1", 7000), PUSH_ANSWER_CONFLICT);
    assert_int_equal(listed(DB(state), "shop"), 99);
    assert_int_equal(open_push(DB(state), "api", "1", 1000), PUSH_ANSWER_OPENED);
    assert_int_equal(app_get(DB(state), "shop", "api", &app, NULL), 0);
    assert_int_equal(app.retain_versions, -1);
}

/* Purging the last version takes no app that nobody deleted. */
static void an_app_that_was_not_deleted_stays(void **state)
{
    struct app app;
    int64_t id = version(DB(state), "api", 1);

    assert_int_equal(retention_override(DB(state), "shop", "api", 7, &actor_host, NULL), 0);
    assert_int_equal(version_trash(DB(state), id, &actor_host, NULL, true, NULL, NULL), 0);
    assert_int_equal(version_purge(DB(state), id, INT64_MAX, &actor_host, NULL), 0);
    assert_int_equal(app_get(DB(state), "shop", "api", &app, NULL), 0);
    assert_int_equal(app.retain_versions, 7);
}

static void an_empty_place_goes_at_once(void **state)
{
    struct app app;

    assert_int_equal(app_put(DB(state), "shop", "api", &actor_host, &app, NULL, NULL), 0);
    assert_int_equal(retention_override(DB(state), "shop", "api", 7, &actor_host, NULL), 0);
    assert_int_equal(delete_all(DB(state), "shop", "api"), 1);
    assert_int_equal(listed(DB(state), "shop"), 0);
    assert_int_equal(delete_all(DB(state), "shop", NULL), 1);
    assert_int_equal(listed(DB(state), "shop"), 99);
    assert_int_equal(count(DB(state), "SELECT count(*) FROM apps WHERE retain_count = 7"), 0);
}

static void whoever_asks_again_gets_the_same_job(void **state)
{
    struct job first, second, whole, app;

    version(DB(state), "api", 1);
    version(DB(state), "web", 2);
    assert_int_equal(begin(DB(state), "shop", "api", false, &first, NULL), 0);
    assert_int_equal(begin(DB(state), "shop", "api", true, &second, NULL), 1);
    assert_string_equal(first.id, second.id);
    assert_int_equal(begin(DB(state), "shop", NULL, false, &whole, NULL), 0);
    assert_int_equal(begin(DB(state), "shop", "web", false, &app, NULL), -EINPROGRESS);
    assert_int_equal(open_push(DB(state), "other", "1", 3000), -EINPROGRESS);
    job_release(&first);
    job_release(&second);
    job_release(&whole);
}

/* Who takes it over finds what is left, or that nothing is. */
static void begun_again_it_goes_on(void **state)
{
    struct deletion_result result;
    struct protection protection;
    struct job asked, job, again;

    for (unsigned i = 1; i <= 3; i++)
        version(DB(state), "api", i);
    assert_int_equal(begin(DB(state), "shop", "api", false, &asked, NULL), 0);
    claim(DB(state), &job);
    assert_int_equal(step(DB(state), &job, false, &result, &protection), 0);
    fixture_now += 1000;
    again = (struct job){ .number = 0 };
    assert_int_equal(job_claim(DB(state), "delete", "you", 60, &again, NULL), 1);
    assert_int_equal(again.number, job.number);
    assert_int_equal(step(DB(state), &again, false, &result, &protection), 0);
    assert_int_equal(result.count, 1);
    assert_true(result.is_done);
    /* it dies between that and the end of the job */
    assert_int_equal(open_push(DB(state), "api", "9", 9000), -EINPROGRESS);
    assert_int_equal(step(DB(state), &job, false, &result, &protection), 0);
    assert_true(result.is_done);
    assert_false(result.app_ended);
    assert_int_equal(count(DB(state), "SELECT count(*) FROM events WHERE type = 'app.deleted'"), 1);
    assert_int_equal(job_finish(DB(state), job.number, "you",
                                &(struct job_end){ .state = JOB_DONE }, NULL),
                     0);
    /* and one that slept through all of it does nothing to what was made since */
    assert_int_equal(open_push(DB(state), "api", "9", 9000), PUSH_ANSWER_OPENED);
    assert_int_equal(step(DB(state), &job, false, &result, &protection), -ESTALE);
    job_release(&asked);
    job_release(&job);
    job_release(&again);
}

/* What went stays in the trash, and what is left is as it was. */
static void cancelled_it_goes_no_further(void **state)
{
    struct deletion_result result;
    struct protection protection;
    struct job asked, job, cancelled;
    struct app app;

    for (unsigned i = 1; i <= 3; i++)
        version(DB(state), "api", i);
    assert_int_equal(begin(DB(state), "shop", "api", false, &asked, NULL), 0);
    claim(DB(state), &job);
    assert_int_equal(step(DB(state), &job, false, &result, &protection), 0);
    assert_int_equal(job_cancel(DB(state), &actor_host, job.id, &cancelled, NULL), 0);
    assert_true(cancelled.cancelling);
    assert_int_equal(step(DB(state), &job, false, &result, &protection), -ECANCELED);
    assert_int_equal(promote(DB(state), "live", "3"), -EINPROGRESS);
    finish(DB(state), &job);
    assert_int_equal(promote(DB(state), "live", "3"), 0);
    assert_int_equal(app_get(DB(state), "shop", "api", &app, NULL), 0);
    assert_int_equal(app.version_count, 1);
    job_release(&asked);
    job_release(&cancelled);
}

static void a_project_goes_app_by_app(void **state)
{
    struct project *items;
    uint64_t ready;
    struct job job = { .project = "shop" };
    size_t number;

    for (unsigned i = 1; i <= 3; i++)
        version(DB(state), "api", i);
    version(DB(state), "web", 4);
    assert_int_equal(deletion_count(DB(state), &job, &ready, NULL), 0);
    assert_int_equal(ready, 4);
    delete_all(DB(state), "shop", "web");
    assert_int_equal(deletion_count(DB(state), &job, &ready, NULL), 0);
    assert_int_equal(ready, 3);
    assert_int_equal(delete_all(DB(state), "shop", NULL), 3);
    assert_int_equal(project_list(DB(state), NULL, NULL, 9, &items, &number, NULL), 0);
    assert_int_equal(number, 0);
    assert_int_equal(count(DB(state), "SELECT count(*) FROM events WHERE type IN"
                                      " ('app.deleted', 'project.deleted')"),
                     3);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(the_app_is_gone_and_its_versions_are_in_the_trash),
        CASE(nothing_is_made_where_something_is_being_deleted),
        CASE(what_protects_a_version_protects_its_place),
        CASE(what_came_in_the_middle_protects),
        CASE(what_is_leased_goes_no_further_than_the_trash),
        CASE(a_version_out_of_the_trash_brings_its_place_back),
        CASE(a_push_of_what_is_in_the_trash_brings_it_back_too),
        CASE(made_again_it_is_a_new_one_with_the_old_trash),
        CASE(a_push_that_went_on_meanwhile_makes_it_again),
        CASE(with_the_last_version_goes_what_was_set),
        CASE(an_app_that_was_not_deleted_stays),
        CASE(an_empty_place_goes_at_once),
        CASE(whoever_asks_again_gets_the_same_job),
        CASE(begun_again_it_goes_on),
        CASE(cancelled_it_goes_no_further),
        CASE(a_project_goes_app_by_app),
    };

    return cmocka_run_group_tests_name("deletion", tests, NULL, NULL);
}
