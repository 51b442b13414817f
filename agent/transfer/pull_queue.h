/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct pull_blob;

/*
 * pull_queue - which blob of a pull is asked for next.
 *
 * One with a known base comes as a delta, when there is a turn for it: the server makes a few at a
 * time, and takes longest for those, so they go first. The others come whole, and fill the line
 * meanwhile. What the server had no turn for is asked for again behind all others, and then for
 * fewer at a time, until deltas come again.
 *
 * What a blob says of itself (is_here, and of its base is_known and is_made) is changed by whoever
 * has it alone, not while it waits here.
 */
struct pull_queue {
    struct pull_blob *blobs;
    size_t count;
    size_t next[2];          /* of those that come whole, and of those that come as deltas */
    size_t turns, turns_max; /* that are taken, and may be */
    size_t good;             /* deltas that came since turns_max was set */
    size_t late;             /* blobs that are to be asked for again */
    bool is_again;           /* next[true] is at those */
};

struct pull_queue pull_queue_init(struct pull_blob *blobs, size_t count);

/* NULL: none now. `again`: also one that is asked for again. */
struct pull_blob *pull_queue_next(struct pull_queue *queue, bool again);

/* A delta is asked for; and it comes, or will not. */
void pull_queue_take_turn(struct pull_queue *queue);
void pull_queue_leave_turn(struct pull_queue *queue);

/* The server had no turn for it: it comes later. */
void pull_queue_put_back(struct pull_queue *queue, struct pull_blob *blob);
/* A delta came. */
void pull_queue_delta_came(struct pull_queue *queue);
