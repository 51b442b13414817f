/* SPDX-License-Identifier: MIT */
#include "server/service/jobs.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/codec/json.h"
#include "server/service/access.h"
#include "server/service/context.h"
#include "server/service/cursor.h"
#include "server/service/refusal.h"

#define LEASE_S 60
#define RENEW_MS 2000
#define RESULT_MAX ((size_t)1 << 20)
#define PAGE_RESULTS_MAX ((size_t)16 << 20)

struct job_run {
    struct services *services;
    struct job job;
    struct buf result;
    uint64_t renewed_ms; /* monotonic */
    int64_t done;
};

struct services *job_services(const struct job_run *run)
{
    return run->services;
}

const struct job *job_of(const struct job_run *run)
{
    return &run->job;
}

struct buf *job_result(struct job_run *run)
{
    return &run->result;
}

CLEANUP_DEFINE(json, json_free);

int job_flag(const struct job_run *run, const char *name, bool *out, struct error *err)
{
    cleanup(cleanup_json) struct json *json = NULL;
    const char *params = run->job.params;
    int r = params != NULL ? json_parse(span_text(params), &json, err) : 0;

    *out = false;
    if (r == 0 && json != NULL)
        r = json_member_bool(json_root(json), name, out, err);
    return r;
}

int job_step(struct job_run *run, int64_t done, int64_t total, struct error *err)
{
    const uint64_t now_ms = clock_monotonic_ms();
    int r = services_go_on(run->services, err);

    run->done = done;
    if (r < 0 || now_ms - run->renewed_ms < RENEW_MS)
        return r;
    run->renewed_ms = now_ms;
    r = job_renew(run->services->database, run->job.number, run->services->holder, LEASE_S, done,
                  total, err);
    return r > 0 ? error_set(err, -ECANCELED, "the job was cancelled") : r;
}

/* ------------------------------------------------------------ asking */

static const struct job_kind *find_kind(const char *name)
{
    for (size_t i = 0; i < job_kind_count; i++) {
        if (strcmp(job_kinds[i].name, name) == 0)
            return &job_kinds[i];
    }
    return NULL;
}

int jobs_draft(const char *kind, const char *project, const char *app, const char *params,
               struct job_draft *out, struct error *err)
{
    const struct job_kind *known = find_kind(kind);

    if (known == NULL || known->run == NULL)
        return error_set(err, -EINVAL, "there is no job \"%s\"", kind);
    *out = (struct job_draft){
        .kind = kind, .lane = known->lane, .project = project, .app = app, .params = params
    };
    return 0;
}

int jobs_submit(struct services *services, const struct caller *caller, const char *kind,
                const char *project, const char *app, const char *params, struct job *out,
                struct error *err)
{
    const struct actor by = caller_actor(caller);
    struct job_draft draft;
    int r = jobs_draft(kind, project, app, params, &draft, err);

    if (r == 0)
        r = job_add(services->database, &by, &draft, out, err);
    if (r >= 0)
        event_written(services);
    return r;
}

static int refuse_unknown(struct refusal *why, struct error *err)
{
    return refusal_set(why, REFUSAL_NOT_FOUND, error_set(err, -ENOENT, "no such job"));
}

static bool is_admin(const struct identity *identity)
{
    return (identity->permissions & ACCESS_ADMIN) != 0;
}

/* Whether a token of that scope sees what happens there. What is of the whole server names versions
 * of all projects, and ends for everybody when it is cancelled: that is for administrators. */
static bool is_seen(const struct identity *identity, const struct job *job)
{
    if (job->project[0] == '\0' && !is_admin(identity))
        return false;
    if (identity->project[0] != '\0' && strcmp(identity->project, job->project) != 0)
        return false;
    return identity->app[0] == '\0' || strcmp(identity->app, job->app) == 0;
}

int jobs_get(struct services *services, const struct identity *identity, const char *id,
             struct job *out, struct refusal *why, struct error *err)
{
    struct job job = { 0 };
    int r = job_get(services->database, id, &job, err);

    if (r == -ENOENT || (r == 0 && !is_seen(identity, &job))) {
        job_release(&job);
        return refuse_unknown(why, err);
    }
    if (r == 0)
        *out = job;
    return r;
}

int jobs_cancel(struct services *services, const struct caller *caller, const char *id,
                struct job *out, struct refusal *why, struct error *err)
{
    const struct actor by = caller_actor(caller);
    cleanup(job_release) struct job job = { 0 };
    const struct job_kind *kind;
    int r = jobs_get(services, &caller->identity, id, &job, why, err);

    kind = r == 0 ? find_kind(job.kind) : NULL;
    if (kind != NULL && kind->by_admins && !is_admin(&caller->identity))
        r = refusal_set(why, REFUSAL_INSUFFICIENT_SCOPE,
                        error_set(err, -EACCES, "only an administrator cancels this"));
    if (r == 0)
        r = job_cancel(services->database, &by, id, out, err);
    if (r == -ENOENT)
        return refuse_unknown(why, err);
    if (r == 0)
        event_written(services);
    return r;
}

/* ------------------------------------------------------------ listing */

void job_page_release(struct job_page *page)
{
    page->items = job_list_free(page->items, page->count);
    page->count = 0;
}

/* How many of a page are told: a job's result is long at times, an answer never is. */
static size_t fitting(const struct job_page *page, size_t limit)
{
    size_t size = 0, count = 0;

    while (count < page->count && count < limit) {
        const struct job *job = &page->items[count];

        size += job->result != NULL ? strlen(job->result) : 0;
        if (count > 0 && size > PAGE_RESULTS_MAX)
            break;
        count++;
    }
    return count;
}

int jobs_list(struct services *services, const struct identity *identity,
              const struct page_request *request, struct job_page *out, struct refusal *why,
              struct error *err)
{
    const struct job_scope scope = { .project = identity->project,
                                     .app = identity->app,
                                     .placed = !is_admin(identity) };
    struct job_page page = { .items = NULL };
    int64_t before;
    uint32_t limit;
    size_t count;
    int r = page_start_behind(CURSOR_JOBS, request, &limit, &before, 1, why, err);

    if (r == 0)
        r = job_list(services->database, &scope, before, limit + 1, &page.items, &page.count, err);
    if (r < 0)
        return r;
    count = fitting(&page, limit);
    if (page.count > count)
        page_end_at(CURSOR_JOBS, &page.items[count - 1].number, 1, page.next_cursor);
    while (page.count > count)
        job_release(&page.items[--page.count]);
    *out = page;
    return 0;
}

/* ------------------------------------------------------------ working */

static void count_end(struct job_run *run, enum job_state state)
{
    for (size_t i = 0; i < job_kind_count && i < JOB_KINDS_MAX; i++) {
        if (strcmp(job_kinds[i].name, run->job.kind) == 0)
            atomic_fetch_add(&run->services->job_ends[i][state], 1);
    }
}

uint64_t jobs_ended(const struct services *services, size_t kind, enum job_state state)
{
    return kind < JOB_KINDS_MAX ? atomic_load(&services->job_ends[kind][state]) : 0;
}

static int finish(struct job_run *run, int outcome, const struct error *reason, struct error *err)
{
    const struct job_end end = {
        .state = outcome == 0            ? JOB_DONE
                 : outcome == -ECANCELED ? JOB_CANCELLED
                                         : JOB_FAILED,
        .result = run->result.size > 0 && buf_check(&run->result, NULL) == 0
                      ? buf_text(&run->result)
                      : NULL,
        .problem = outcome == 0 ? NULL : reason->text,
        .done = run->done,
    };
    int r = job_finish(run->services->database, run->job.number, run->services->holder, &end, err);

    count_end(run, end.state);
    event_written(run->services);
    return r;
}

static int attempt(struct job_run *run, struct error *reason)
{
    const struct job_kind *kind = find_kind(run->job.kind);

    if (kind == NULL)
        return error_set(reason, -EINVAL, "this server knows no such job");
    if (kind->run == NULL) /* only that process could do it, and its lease is over */
        return error_set(reason, -EIO, "the process that did it ended before its end");
    if (run->job.begun > JOBS_BEGUN_MAX)
        return error_set(reason, -EIO, "it was begun %d times and never came to an end",
                         JOBS_BEGUN_MAX);
    return kind->run(run, reason);
}

static int work(struct job_run *run, struct error *err)
{
    struct error reason = { 0 };
    int r = attempt(run, &reason);

    if (r == -EBUSY)
        return error_set(err, r, "%s", reason.text); /* it is another's */
    if (r == -EAGAIN && services_go_on(run->services, NULL) < 0)
        return job_put_back(run->services->database, run->job.number, run->services->holder, err);
    return finish(run, r, &reason, err);
}

int jobs_do(struct services *services, const char *kind, jobs_function *function, void *context,
            struct error *err)
{
    const struct job_draft draft = { .kind = kind, .lane = find_kind(kind)->lane };
    struct job_run run = { .services = services,
                           .result = buf_init(RESULT_MAX),
                           .renewed_ms = clock_monotonic_ms() };
    struct error reason = { 0 };
    int done, r = job_begin(services->database, &actor_host, &draft, services->holder, LEASE_S,
                            &run.job, err);

    if (r == 0) {
        event_written(services);
        done = function(&run, context, &reason);
        r = finish(&run, done, &reason, err);
        if (r == -EBUSY)
            r = error_set(err, -EIO, "another took the job: it was not renewed in time");
        if (done < 0)
            r = error_set(err, done == -EBUSY ? -EIO : done, "%s", reason.text);
    }
    job_release(&run.job);
    buf_release(&run.result);
    return r;
}

static int work_lane(struct services *services, const char *lane, struct error *err)
{
    struct job_run run = { .services = services,
                           .result = buf_init(RESULT_MAX),
                           .renewed_ms = clock_monotonic_ms() };
    int r = services_go_on(services, NULL) < 0
                ? 0
                : job_claim(services->database, lane, services->holder, LEASE_S, &run.job, err);

    if (r == 1) {
        r = work(&run, err);
        r = r < 0 ? r : 1;
    }
    job_release(&run.job);
    buf_release(&run.result);
    return r;
}

/* Whether an earlier kind of the table has the same lane. */
static bool is_repeated(size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (strcmp(job_kinds[i].lane, job_kinds[index].lane) == 0)
            return true;
    }
    return false;
}

int jobs_work(struct services *services, size_t *out_count, struct error *err)
{
    size_t count = 0;
    int r;

    for (size_t i = 0; i < job_kind_count; i++) {
        if (is_repeated(i))
            continue;
        while ((r = work_lane(services, job_kinds[i].lane, err)) > 0)
            count++;
        if (r < 0)
            return r;
    }
    *out_count = count;
    return 0;
}

int jobs_last_ends(struct services *services, struct job_last_end **out_items, size_t *out_count,
                   struct error *err)
{
    return job_last_ends(services->database, JOB_KINDS_MAX, out_items, out_count, err);
}
