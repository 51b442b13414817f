/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct buf;
struct rooms;
struct worker_config;

/*
 * metrics - what a mount tells a monitor: the text behind GET /metrics (metrics=ADDR).
 *
 * Counters are of the process that answers; a worker that follows another begins at zero, which is
 * what rate() and its like expect. One table names each, its kind, its help, where it is from.
 */
struct metrics_source {
    const struct rooms *rooms;
    const struct worker_config *config; /* of a worker; else NULL */
    const atomic_bool *holder_gone;
    uint64_t started_ms;
};

/* Any thread but the loop's. context: a struct metrics_source. */
void metrics_write(void *context, struct buf *out);
