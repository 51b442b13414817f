/* SPDX-License-Identifier: MIT */
#include "server/service/retention.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/json.h"
#include "server/service/context.h"
#include "server/service/cursor.h"
#include "server/service/jobs.h"
#include "server/service/policy.h"
#include "server/service/refusal.h"
#include "server/service/trashed_names.h"

#define APP_BATCH 100
#define VERSION_BATCH 50 /* of one transaction */

static int rules_get(struct services *services, struct retention_rules *out, struct error *err)
{
    struct policy policy;
    int r = policy_get(services, &policy, err);

    if (r == 0)
        *out = (struct retention_rules){ policy.retain_versions, policy.retain_min_age_s };
    return r;
}

/* "" when it may be done without force. */
static void judge(const struct retention_sum *sum, char out[RETENTION_WHY_SIZE])
{
    out[0] = '\0';
    if (sum->app[0] != '\0')
        snprintf(out, RETENTION_WHY_SIZE, "it would take %llu of the %llu versions of %.63s/%.63s",
                 (unsigned long long)sum->app_goes, (unsigned long long)sum->app_ready,
                 sum->project, sum->app);
    else if (sum->excess_bytes > sum->all_bytes / RETENTION_BYTES_SHARE)
        snprintf(out, RETENTION_WHY_SIZE, "it would take more than a tenth of all bytes");
}

/* ------------------------------------------------------------ the job */

struct retaining {
    struct job_run *run;
    struct services *services;
    struct retention_rules rules;
    struct retention_sum sum;
    struct trashed_names trashed;
    uint64_t bytes;
};

static int take_batch(struct retaining *self, const struct retention_app *app, uint64_t left,
                      size_t *out_count, struct error *err)
{
    static const struct actor by = { .name = "retention" };
    const struct retention_scope scope = { app->project, app->app };
    struct retained items[VERSION_BATCH];
    uint64_t bytes = 0;
    int r = job_step(self->run, (int64_t)self->trashed.count,
                     (int64_t)self->sum.counts[RETENTION_GOES], err);

    if (r == 0)
        r = retention_take(self->services->database, &self->rules, &scope,
                           left < VERSION_BATCH ? (size_t)left : VERSION_BATCH, &by, items,
                           out_count, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < *out_count; i++)
        trashed_names_add(&self->trashed, items[i].project, items[i].app, items[i].version);
    if (*out_count > 0)
        event_written(self->services);
    r = retention_freed(self->services->database, items, *out_count, &bytes, err);
    self->bytes += bytes;
    return r;
}

/* Never more than were counted, for those were held against the limit. */
static int take_app(struct retaining *self, const struct retention_app *app, struct error *err)
{
    uint64_t left = app->goes;
    size_t count;
    int r = 0;

    while (r == 0 && left > 0) {
        r = take_batch(self, app, left, &count, err);
        if (r < 0 || count == 0)
            break;
        left -= count;
    }
    return r;
}

static int take_all(struct retaining *self, const struct retention_scope *scope, struct error *err)
{
    struct retention_app apps[APP_BATCH];
    int64_t last = 0;
    size_t count;
    int r;

    do {
        r = retention_apps(self->services->database, &self->rules, scope, last, APP_BATCH, apps,
                           &count, &last, err);
        for (size_t i = 0; r == 0 && i < count; i++)
            r = take_app(self, &apps[i], err);
    } while (r == 0 && last != 0);
    return r;
}

static int check_limit(const struct retaining *self, struct error *err)
{
    char too_much[RETENTION_WHY_SIZE];
    bool forced;
    int r = job_flag(self->run, "force", &forced, err);

    judge(&self->sum, too_much);
    if (r < 0 || forced || too_much[0] == '\0')
        return r;
    /* not -EBUSY, by which a job tells that it is another's */
    return error_set(err, -EFBIG, "safety-limit: %s", too_much);
}

static void write_result(struct retaining *self)
{
    struct json_writer writer = json_writer_init(job_result(self->run));

    json_begin_object(&writer, NULL);
    json_integer(&writer, "trashed", (int64_t)self->trashed.count);
    json_integer(&writer, "bytes", (int64_t)self->bytes);
    json_begin_object(&writer, "kept");
    for (unsigned i = RETENTION_NEWEST; i < RETENTION_VERDICT_COUNT; i++)
        json_integer(&writer, retention_verdict_name((enum retention_verdict)i),
                     (int64_t)self->sum.counts[i]);
    json_end(&writer);
    trashed_names_write(&self->trashed, &writer, "versions");
    json_end(&writer);
}

int retention_run(struct job_run *run, struct error *err)
{
    struct retaining self = { .run = run,
                              .services = job_services(run),
                              .trashed = trashed_names_init() };
    const struct job *job = job_of(run);
    const struct retention_scope scope = { job->project, job->app };
    int r = rules_get(self.services, &self.rules, err);

    if (r == 0)
        r = retention_count(self.services->database, &self.rules, &scope, &self.sum, err);
    if (r == 0)
        r = check_limit(&self, err);
    if (r == 0)
        r = take_all(&self, &scope, err);
    write_result(&self);
    trashed_names_release(&self.trashed);
    return r;
}

/* ------------------------------------------------------------ asking */

/* What the request means for who asks, and whether that is there. */
static int scope_find(struct services *services, const struct identity *identity,
                      const struct retention_request *request, struct retention_scope *out,
                      struct refusal *why, struct error *err)
{
    const bool is_app = request->app != NULL;
    const uint32_t needed = is_app && !request->force ? ACCESS_PUSH : ACCESS_ADMIN;
    struct project project;
    struct app app;
    int r;

    *out = (struct retention_scope){ request->project, request->app };
    if (out->project == NULL && is_app)
        return refusal_at(why, "/app", error_set(err, -EINVAL, "an app needs its project"));
    if (out->project == NULL && identity->project[0] != '\0')
        out->project = identity->project;
    if (out->app == NULL && identity->app[0] != '\0')
        out->app = identity->app;
    r = access_check(services, identity, needed, ACCESS_WHOLE, out->project, out->app, why, err);
    if (r < 0 || out->project == NULL)
        return r;
    r = out->app != NULL ? app_get(services->database, out->project, out->app, &app, err)
                         : project_get(services->database, out->project, &project, err);
    if (r == -ENOENT)
        return refusal_set(why, REFUSAL_NOT_FOUND, error_set(err, r, "no such place"));
    return r;
}

int retention_ask(struct services *services, const struct caller *caller,
                  const struct retention_request *request, struct job *out, struct refusal *why,
                  struct error *err)
{
    struct retention_scope scope;
    struct retention_rules rules;
    struct retention_sum sum;
    char too_much[RETENTION_WHY_SIZE];
    int r = scope_find(services, &caller->identity, request, &scope, why, err);

    if (r == 0)
        r = rules_get(services, &rules, err);
    if (r == 0)
        r = retention_count(services->database, &rules, &scope, &sum, err);
    if (r < 0)
        return r;
    judge(&sum, too_much);
    if (too_much[0] != '\0' && !request->force)
        return refusal_set(why, REFUSAL_SAFETY_LIMIT, error_set(err, -EBUSY, "%s", too_much));
    return jobs_submit(services, caller, "retention", scope.project, scope.app,
                       request->force ? "{\"force\":true}" : "{\"force\":false}", out, err);
}

/* ------------------------------------------------------------ looking */

static void page_end(struct retention_preview *preview, uint32_t limit)
{
    const struct retained *last;

    if (preview->count <= limit)
        return;
    preview->count = limit;
    last = &preview->items[limit - 1];
    page_end_at(CURSOR_RETENTION, (const int64_t[]){ last->app_id, last->id }, 2,
                preview->next_cursor);
}

int retention_preview(struct services *services, const struct identity *identity,
                      const struct retention_request *request, const struct page_request *page,
                      struct retention_preview *out, struct refusal *why, struct error *err)
{
    struct retention_preview preview = { .items = NULL };
    struct retention_scope scope;
    struct retention_rules rules;
    int64_t numbers[2];
    uint32_t limit;
    int r = scope_find(services, identity, request, &scope, why, err);

    if (r == 0)
        r = page_start_behind(CURSOR_RETENTION, page, &limit, numbers, 2, why, err);
    if (r == 0)
        r = rules_get(services, &rules, err);
    if (r == 0)
        r = retention_look(services->database, &rules, &scope,
                           &(struct retention_place){ numbers[0], numbers[1] }, limit + 1,
                           &preview.items, &preview.count, &preview.sum, err);
    if (r < 0)
        return r;
    judge(&preview.sum, preview.too_much);
    page_end(&preview, limit);
    *out = preview;
    return 0;
}

void retention_preview_release(struct retention_preview *preview)
{
    preview->items = memory_free(preview->items);
    preview->count = 0;
}
