/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/db/projects.h"

/*
 * events - what happened, written in the transaction of what they tell.
 *
 * Rows do not commit in the order of their ids, so the sequencer numbers rows
 * that are committed; readers go by that number.
 */
struct event {
    int64_t number;
    int64_t at_s;
    char type[64];                                         /* "version.created" */
    char project[NAME_SIZE], app[NAME_SIZE], version[129]; /* "" where it has none */
    char *actor;                                           /* or NULL */
    char *data;                                            /* JSON or NULL */
};

/* Numbers committed rows that have no number yet, at most `limit`; *out_count of them. One
 * sequencer at a time: `holder` (this process) takes or renews a lease of `lease_s`; -EBUSY when
 * another one has it. One that goes on for more than twice as long was taken by a clock that was
 * ahead, and is none. */
int event_number(struct database *database, const char *holder, int64_t lease_s, size_t limit,
                 size_t *out_count, struct error *err);

/* Where the numbers are. */
struct event_bounds {
    int64_t oldest; /* smallest number that is kept; last + 1 when none is */
    int64_t last;   /* the largest that was ever given; 0: none */
    bool waiting;   /* committed rows without a number */
};
int event_bounds(struct database *database, struct event_bounds *out, struct error *err);

/* Numbered ones behind `after`, ascending. event_list_free() them. */
int event_list(struct database *database, int64_t after, size_t limit, struct event **out_items,
               size_t *out_count, struct error *err);
struct event *event_list_free(struct event *items, size_t count); /* returns NULL */

/* A part of the events: of a project or an app ("" for any), and there those that `has` is true of
 * (NULL: all). */
struct event_part {
    const char *project, *app;
    bool (*has)(const void *context, const char *type, const char *project, const char *app);
    const void *context;
};

/* The same of the project or app of a part; which of them are in it is left to be asked.
 * *out_forgotten: the largest number of the part that is not kept any more, 0 when all are. */
int event_list_of(struct database *database, const struct event_part *part, int64_t after,
                  size_t limit, struct event **out_items, size_t *out_count, int64_t *out_forgotten,
                  struct error *err);

/* The numbers as they are for somebody who may see a part of the events, and wants a part of
 * that. */
struct event_view {
    int64_t last;      /* the largest that was ever given */
    int64_t seen_last; /* the largest of `seen`, kept or not; 0: none */
    int64_t forgotten; /* the largest of `wanted` that is not kept any more; 0: all are kept */
};
int event_view(struct database *database, const struct event_part *seen,
               const struct event_part *wanted, struct event_view *out, struct error *err);

/* Forgets numbered ones of before `before_s`, from the oldest on and at most `limit`; *out_count of
 * them. Whoever comes back for one of these is told (event_view()). */
int event_forget(struct database *database, int64_t before_s, size_t limit, size_t *out_count,
                 struct error *err);
