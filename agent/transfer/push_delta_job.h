/* SPDX-License-Identifier: MIT */
#pragma once

#include <pthread.h>

#include "agent/transfer/push_base.h"
#include "agent/transfer/push_delta.h"
#include "common/base/buf.h"

struct directory;
struct error;
struct push_looks;
struct scan_entry;

/*
 * push_delta_job - what a thread does for the delta of one file: it looks at the file, and, once
 * its base is known, makes the delta.
 *
 * With the base's bytes at hand (kept_fd) what the two have in common is found here as well, no
 * list or tree of the base travels, and patches compete. One that makes patches has 30 MiB for
 * itself: so one at a time does (patching).
 */
#define PUSH_DELTA_JOB_USELESS 1 /* a result: a delta that does not pay */

struct push_delta_job {
    struct push_delta_file file;
    const struct scan_entry *entry; /* the file's */
    struct push_looks *looks;       /* what was looked at already; or NULL */
    struct directory *cache;        /* for hints; or NULL */
    struct push_base *base;         /* which blob it is, and in the end its list or tree */
    enum push_base_kind kind;       /* of what is compared */
    int kept_fd;                    /* the base's bytes, or -1; the job's */
    pthread_mutex_t *patching;      /* that of all jobs of a push */
    struct buf own;                 /* the file's list or tree */
    struct buf delta;
};

/* own: of the kind. 0 or an error (push_delta.h). */
int push_delta_job_look(struct push_delta_job *job, struct error *err);
/* delta, or PUSH_DELTA_JOB_USELESS, or an error. */
int push_delta_job_make(struct push_delta_job *job, struct error *err);
/* For the next file; the buffers keep their limits. */
void push_delta_job_clear(struct push_delta_job *job);
