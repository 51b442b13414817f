/* SPDX-License-Identifier: MIT */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "common/base/error.h"

struct workers;

/*
 * side_task - a short computation beside its caller's own, on one of a few threads that do nothing
 * else, so that large bytes are hashed and written in the time of one of the two.
 *
 *     side_task_start -> the caller's own work -> side_task_wait
 *
 * It is a chance and no promise: when those threads have enough to do, or there are none, the work
 * is done by its caller, at once. What is done there waits for nobody, so the wait is as long as
 * the work, and nobody can hold up somebody else for good.
 *
 * One work at a time; who started it waits for it before the bytes go, and before release. The
 * struct does not move between init and release. One thread.
 */
typedef int side_task_function(void *context, struct error *err);

struct side_task {
    struct workers *workers; /* NULL: there are none */
    side_task_function *function;
    void *context;
    int result;
    struct error error;
    pthread_mutex_t lock; /* of `done`, which also hands over the four above */
    pthread_cond_t ended;
    bool done;
};

/* The threads for such work, as many as processors, and at most 4; *out is NULL where there is one
 * processor. */
int side_task_workers_new(struct workers **out, struct error *err);

void side_task_init(struct side_task *task, struct workers *workers);
void side_task_release(struct side_task *task);

void side_task_start(struct side_task *task, side_task_function *function, void *context);
/* What the function returned; 0 when nothing was started. */
int side_task_wait(struct side_task *task, struct error *err);
