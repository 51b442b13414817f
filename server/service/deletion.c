/* SPDX-License-Identifier: MIT */
#include "server/service/deletion.h"

#include <errno.h>

#include "common/base/error.h"
#include "common/codec/json.h"
#include "server/db/deletion.h"
#include "server/service/context.h"
#include "server/service/jobs.h"
#include "server/service/protected.h"
#include "server/service/refusal.h"
#include "server/service/trashed_names.h"

#define BATCH 50 /* versions of one transaction */

struct deleting {
    struct job_run *run;
    struct services *services;
    struct deletion_step step;
    struct trashed_names trashed;
    uint64_t total, apps;
};

/* ------------------------------------------------------------ the job */

/* Not -EBUSY, by which a job tells that it is another's. */
static int fail_protected(const struct protection *protection, const struct error *reason,
                          struct error *err)
{
    static const char *const codes[] = { [PROTECTION_NONE] = "busy",
                                         [PROTECTION_PROMOTED] = "promoted",
                                         [PROTECTION_PINNED] = "pinned",
                                         [PROTECTION_LEASED] = "leased" };

    return error_set(err, -EACCES, "%s: %.200s", codes[protection->kind], reason->text);
}

static int take_batch(struct deleting *self, bool *out_done, struct error *err)
{
    const struct job *job = self->step.job;
    char versions[BATCH][VERSION_NAME_SIZE];
    struct deletion_result result;
    struct protection protection;
    struct error reason = { 0 };
    int r = job_step(self->run, (int64_t)self->trashed.count, (int64_t)self->total, err);

    if (r < 0)
        return r;
    r = deletion_run_step(self->services->database, &self->step, versions, &result, &protection,
                          &reason);
    if (r == -EBUSY)
        return fail_protected(&protection, &reason, err);
    if (r < 0)
        return error_set(err, r, "%s", reason.text);
    for (size_t i = 0; i < result.count; i++)
        trashed_names_add(&self->trashed, job->project, result.app, versions[i]);
    self->apps += result.app_ended;
    *out_done = result.is_done;
    event_written(self->services);
    return 0;
}

static void write_result(struct deleting *self)
{
    struct json_writer writer = json_writer_init(job_result(self->run));

    json_begin_object(&writer, NULL);
    json_integer(&writer, "trashed", (int64_t)self->trashed.count);
    json_integer(&writer, "apps", (int64_t)self->apps);
    trashed_names_write(&self->trashed, &writer, "versions");
    json_end(&writer);
}

int deletion_run(struct job_run *run, struct error *err)
{
    struct deleting self = { .run = run,
                             .services = job_services(run),
                             .step = { .job = job_of(run), .reason = "deleted", .limit = BATCH },
                             .trashed = trashed_names_init() };
    bool is_done = false;
    int r = job_flag(run, "force", &self.step.force, err);

    if (r == 0)
        r = deletion_count(self.services->database, self.step.job, &self.total, err);
    while (r == 0 && !is_done)
        r = take_batch(&self, &is_done, err);
    write_result(&self);
    trashed_names_release(&self.trashed);
    return r;
}

/* ------------------------------------------------------------ asking */

int deletion_ask(struct services *services, const struct caller *caller, const char *project,
                 const char *app, bool force, struct job *out, struct refusal *why,
                 struct error *err)
{
    const struct actor by = caller_actor(caller);
    struct protection protection;
    struct job_draft draft;
    int r = access_check(services, &caller->identity, ACCESS_ADMIN, ACCESS_WHOLE, project, app, why,
                         err);

    if (r == 0)
        r = jobs_draft("delete", project, app, force ? "{\"force\":true}" : "{\"force\":false}",
                       &draft, err);
    if (r < 0)
        return r;
    r = deletion_begin(services->database, &by, &draft, force, out, &protection, err);
    if (r == -ENOENT)
        return refusal_set(why, REFUSAL_NOT_FOUND, r);
    if (r == -EBUSY)
        return refuse_protected(&protection, why, r);
    if (r == 0)
        event_written(services);
    return r;
}
