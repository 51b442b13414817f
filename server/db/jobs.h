/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/db/acts.h"
#include "server/db/projects.h"

/*
 * jobs - long work that somebody asked for: a queue, and the history of what came of it.
 *
 * Of the jobs of a lane one runs at a time, in whichever server took it; that one renews its lease.
 * A job whose holder does not renew any more is taken again from the start, so work is written to
 * be begun again. Asking, cancelling and the end are acts (acts.h): `KIND.run` with the event
 * `job.queued`, `KIND.cancel` without one, `KIND.end` with `job.finished`.
 */
#define JOB_ID_SIZE 33 /* 32 hex digits */
#define JOB_NAME_SIZE 32

enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_DONE, JOB_FAILED, JOB_CANCELLED };
#define JOB_STATE_COUNT 5

struct job {
    int64_t number;
    char id[JOB_ID_SIZE];
    char kind[JOB_NAME_SIZE];
    enum job_state state;
    bool cancelling;                         /* it runs, and somebody wants it to end */
    char project[NAME_SIZE], app[NAME_SIZE]; /* "": of everything */
    char *params, *result;                   /* JSON or NULL */
    char *problem;                           /* why it failed, or NULL */
    char *actor;                             /* or NULL */
    int64_t begun;       /* of one that was just taken: how often, this time included */
    int64_t done, total; /* progress, in the kind's own unit; total 0: unknown */
    int64_t created_at_s, started_at_s, finished_at_s; /* 0: not yet */
};

struct job_draft {
    const char *kind, *lane;
    const char *project, *app; /* NULL: of everything */
    const char *params;        /* JSON or NULL */
};

void job_release(struct job *job); /* for cleanup(); leaves an empty one */
const char *job_state_name(enum job_state state);

/* 1: a queued one of the same kind, place and params is there already and is that one; 0: *out is
 * new. */
int job_add(struct database *database, const struct actor *by, const struct job_draft *draft,
            struct job *out, struct error *err);

/* The same as a part of somebody's transaction. *out is set in either case. */
struct transaction;
int job_add_in(struct transaction *tx, const struct actor *by, const struct job_draft *draft,
               struct job *out, struct error *err);

/* Takes the next job of the lane: 1 and the job, running, its lease `lease_s` long; 0: there is
 * none, or another holder has one. A lease that goes on for more than twice that is none: the clock
 * was ahead when it was given. */
int job_claim(struct database *database, const char *lane, const char *holder, int64_t lease_s,
              struct job *out, struct error *err);

/* Adds one and takes it at once: for what only this process can do. -EBUSY, and nothing is added,
 * while one of the lane runs, also one whose lease is over: that has to be claimed first. Those
 * that are queued wait behind it. */
int job_begin(struct database *database, const struct actor *by, const struct job_draft *draft,
              const char *holder, int64_t lease_s, struct job *out, struct error *err);

/* Its holder goes on: 0, or 1 when it is to be cancelled. -EBUSY: it is somebody else's by now. */
int job_renew(struct database *database, int64_t number, const char *holder, int64_t lease_s,
              int64_t done, int64_t total, struct error *err);

/* Back into the queue, for whoever comes next, as if it had not been taken. -EBUSY as above, here
 * and in the next. */
int job_put_back(struct database *database, int64_t number, const char *holder, struct error *err);

struct job_end {
    enum job_state state; /* how it ended */
    const char *result;   /* JSON or NULL */
    const char *problem;  /* or NULL */
    int64_t done;
};
int job_finish(struct database *database, int64_t number, const char *holder,
               const struct job_end *end, struct error *err);

/* A queued one ends at once, a running one at its next step; one that has ended is left alone. *out
 * is what it is then. -ENOENT: no such job. */
int job_cancel(struct database *database, const struct actor *by, const char *id, struct job *out,
               struct error *err);

int job_get(struct database *database, const char *id, struct job *out, struct error *err);

/* Of everything when both are "", of one project, or of one app. */
struct job_scope {
    const char *project, *app;
    bool placed; /* without those that are of no project: they are of the whole server */
};

/* Newest first, behind `before` (0: the newest). job_list_free() them. */
int job_list(struct database *database, const struct job_scope *scope, int64_t before, size_t limit,
             struct job **out_items, size_t *out_count, struct error *err);
struct job *job_list_free(struct job *items, size_t count); /* returns NULL */

/* When the last one of each kind ended that was for everything and is done, as a list by kind to
 * memory_free(); NULL when *out_count is 0. */
struct job_last_end {
    char kind[JOB_NAME_SIZE];
    int64_t finished_at_s;
};
int job_last_ends(struct database *database, size_t limit, struct job_last_end **out_items,
                  size_t *out_count, struct error *err);

/* Forgets up to `limit` that ended before `before_s`; *out_count of them. The last one of each kind
 * that was for everything and is done stays: retention goes by it. */
int job_forget(struct database *database, int64_t before_s, size_t limit, size_t *out_count,
               struct error *err);
