/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/db/jobs.h"
#include "server/service/projects.h"

struct buf;

/*
 * jobs - long work in the background: asking for it, doing it, what came of it.
 *
 * Kinds are a table (job_kinds.c): name, lane, function. A job's function works in steps, each of
 * which may be done again, and calls job_step() between them, which keeps the lease and the
 * progress, and ends the work when somebody cancelled it, the server stops, or another server took
 * the job. What a job found goes into its result, a JSON object.
 */
struct job_run;

struct job_kind {
    const char *name;
    const char *lane; /* one job of a lane at a time */
    /* 0: done. A failure: -EAGAIN because of services_go_on(), and the job is put back. NULL: only
     * jobs_do() does it, and nobody does it again. */
    int (*run)(struct job_run *run, struct error *err);
    bool by_admins; /* only an administrator of its place cancels it */
};
#define JOB_KINDS_MAX 16
extern const struct job_kind job_kinds[];
extern const size_t job_kind_count;

/* For a job's function. */
struct services *job_services(const struct job_run *run);
const struct job *job_of(const struct job_run *run);
struct buf *job_result(struct job_run *run); /* appended to: JSON, taken at whatever end */
/* A member of its params; false without one. */
int job_flag(const struct job_run *run, const char *name, bool *out, struct error *err);
/* done, total: in the kind's unit; total 0: unknown. -ECANCELED, -EAGAIN, -EBUSY: return it. */
int job_step(struct job_run *run, int64_t done, int64_t total, struct error *err);

/* Does one right here, from its begin to its end: work on what only this process has. The kind has
 * no function of its own, so that nobody asks for it and nobody takes it over: when this process
 * dies, whoever next works on the lane ends it as failed. -EBUSY: another of the lane is running,
 * and nothing was begun. Else what `run` returned. */
typedef int jobs_function(struct job_run *run, void *context, struct error *err);
int jobs_do(struct services *services, const char *kind, jobs_function *run, void *context,
            struct error *err);

/* What asking for a kind adds, for those that add it in a transaction of their own. -EINVAL: nobody
 * can ask for it. */
int jobs_draft(const char *kind, const char *project, const char *app, const char *params,
               struct job_draft *out, struct error *err);

/* Asks for one; the caller's rights were checked. NULL: the host asks. 1: one that waits was asked
 * for by somebody already, and is *out. Release *out. */
int jobs_submit(struct services *services, const struct caller *caller, const char *kind,
                const char *project, const char *app, const char *params, struct job *out,
                struct error *err);

/* What the identity sees by its scope: a job of everything only whose scope is everything. */
int jobs_get(struct services *services, const struct identity *identity, const char *id,
             struct job *out, struct refusal *why, struct error *err);
/* -EACCES: it takes an administrator to cancel one of its kind. */
int jobs_cancel(struct services *services, const struct caller *caller, const char *id,
                struct job *out, struct refusal *why, struct error *err);

struct job_page {
    struct job *items;
    size_t count;
    char next_cursor[CURSOR_SIZE];
};
/* A page of long results is shorter than was asked for. */
int jobs_list(struct services *services, const struct identity *identity,
              const struct page_request *request, struct job_page *out, struct refusal *why,
              struct error *err);
void job_page_release(struct job_page *page);

/* A job whose server ends in the middle of it is begun again, but not for ever: it may be what ends
 * the server. */
#define JOBS_BEGUN_MAX 5

/* Does the next job of each lane, to its end, in this thread. *out_count of them. */
int jobs_work(struct services *services, size_t *out_count, struct error *err);

/* job_last_ends(), of the kinds there are. */
int jobs_last_ends(struct services *services, struct job_last_end **out_items, size_t *out_count,
                   struct error *err);

/* How many jobs of a kind (by its place in job_kinds) this process brought to that end. */
uint64_t jobs_ended(const struct services *services, size_t kind, enum job_state state);
