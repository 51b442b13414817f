/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

struct error;

/*
 * workers - a bounded pool of threads for work that blocks or computes.
 *
 * Event loops hand work here and go on. The queue is bounded: when it is full
 * workers_try() says so at once (the caller answers 503 or waits for its own
 * reasons), workers_submit() waits. Work runs in the order it was given,
 * `thread_count` at a time. Threads block all signals.
 */
struct workers;

/* Never called concurrently for one submission; `context` is the submitter's. */
typedef void workers_function(void *context);

int workers_new(struct workers **out_workers, size_t thread_count, size_t queue_limit,
                struct error *err);

/* Runs what is queued to its end, then stops the threads. NULL is fine; returns NULL. */
struct workers *workers_free(struct workers *workers);

/* 0 or -EAGAIN when the queue is full. Never allocates after workers_new. */
int workers_try(struct workers *workers, workers_function *function, void *context);

/* Waits for room. Never from one of the pool's own threads. */
void workers_submit(struct workers *workers, workers_function *function, void *context);

/* Waits until nothing is queued or running. */
void workers_drain(struct workers *workers);

/* How many pieces of work wait (a snapshot, for metrics). */
size_t workers_waiting(struct workers *workers);
