/* SPDX-License-Identifier: MIT */
#pragma once

#include "server/db/jobs.h"
#include "server/db/transaction.h"

/* job_rows - jobs inside a transaction. A *out was zeroed or is a job, which is released first; the
 * caller releases it also on failure. */

/* What job_next() reads. */
#define JOB_SELECT                                                                       \
    "SELECT j.number, j.id, j.kind, j.state, j.cancelling, j.project, j.app, j.params, " \
    "j.result, j.problem, j.actor, j.done, j.total, j.created_at, j.started_at, "        \
    "j.finished_at FROM jobs j "

/* 1 and the job, or 0. */
int job_next(struct rows *rows, struct job *out, struct error *err);

/* -ENOENT */
int job_find_number(struct transaction *tx, int64_t number, struct job *out, struct error *err);
int job_find_id(struct transaction *tx, const char *id, struct job *out, struct error *err);

/* A new one, queued, with the act of asking for it. */
int job_insert(struct transaction *tx, const struct actor *by, const struct job_draft *draft,
               struct job *out, struct error *err);

/* The act KIND.`what`; event and state may be NULL. */
int job_tell(struct transaction *tx, const struct actor *by, const struct job *job,
             const char *what, const char *event, const char *state, struct error *err);

/* When the last job of that kind began that was for everything and is done: 1; 0: none is known.
 * One that began in the future, by a clock that was ahead, says nothing. */
int job_last_done(struct transaction *tx, const char *kind, int64_t *out_began_s,
                  struct error *err);
