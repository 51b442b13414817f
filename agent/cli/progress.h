/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct error;

/*
 * progress - a bar with rate and remaining time on stderr, drawn by a thread of its
 * own from samples, so that the work is not in its way.
 *
 * auto: only on a terminal, one line that is drawn over. plain: a line every two
 * seconds, anywhere. none: nothing.
 */
enum progress_mode { PROGRESS_AUTO, PROGRESS_PLAIN, PROGRESS_NONE };

struct progress_sample {
    const char *label;                /* "sending" */
    uint64_t files_done, files_total; /* total 0: not known */
    uint64_t bytes_done, bytes_total;
};

typedef void progress_sampler(void *context, struct progress_sample *out);

int progress_parse(const char *text, enum progress_mode *out, struct error *err); /* -EINVAL */

struct progress;

/* *out_progress is NULL when nothing is to be shown. The sampler is called on the thread. */
int progress_start(enum progress_mode mode, progress_sampler *sampler, void *context,
                   struct progress **out_progress, struct error *err);
/* Clears the line. NULL is fine; returns NULL. */
struct progress *progress_stop(struct progress *progress);

/* One line without its end: at most `columns` wide. elapsed_ms: of this phase. */
void progress_format(const struct progress_sample *sample, uint64_t elapsed_ms, int columns,
                     struct buf *out);
