/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "server/db/acts.h"

struct database;
struct error;
struct job_draft;

/*
 * schedules - when something is to be done next, remembered for all servers of a database, as a
 * setting `NAME.next` that is no policy.
 *
 * Whoever writes the next time asks for the job in the same transaction, so that of several servers
 * one does. A time that passed while no server was there is made up for once.
 */
struct schedule {
    const char *name; /* "retention" */
    const char *plan; /* what it follows, in words: under another one it is planned afresh */
};

/* The next time of the plan. 0 where there is none yet, or it is another plan's. */
int schedule_next(struct database *database, const struct schedule *schedule, int64_t *out_next_s,
                  struct error *err);

/* Plans for `next_s`. Where the time that was planned has come, asks for the job first: *out_asked.
 * Where it has not come, another server was first, and nothing changes; but what is planned for
 * later than `next_s` was planned by a clock that was ahead, and is planned afresh. */
int schedule_advance(struct database *database, const struct schedule *schedule, int64_t next_s,
                     const struct actor *by, const struct job_draft *draft, bool *out_asked,
                     struct error *err);

/* Never, until it is planned again. Writes nothing where nothing is planned. */
int schedule_forget(struct database *database, const char *name, struct error *err);
