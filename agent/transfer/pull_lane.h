/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/transfer/pull_body.h"
#include "agent/transfer/pull_fetch.h"
#include "agent/transfer/pull_queue.h"
#include "common/base/error.h"
#include "common/net/http_loop.h"

struct api_answer;
struct api_call;
struct workers;

/* pull_lane - what pull_fetch.c (blobs that come whole) and pull_delta.c share. All of it is on the
 * loop's thread, but for what a thread computes. */

/* One blob on its way at a time. */
struct lane {
    struct fetching *fetching;
    struct pull_blob *blob; /* NULL: idle */
    struct api_call *call;
    struct pull_body body;
    uint64_t from;    /* bytes there were when it was asked for */
    int wrong;        /* times it came wrong */
    uint32_t poor;    /* tries in a row that gave little */
    bool disk_failed; /* the failure is the disk's, not the server's */
    char part[PULL_FETCH_NAME_SIZE], made[PULL_FETCH_NAME_SIZE];
    bool asks_delta;
    bool may_come_later;      /* and says that it may be told to ask again */
    bool has_turn;            /* it asks for a delta, and nothing came yet */
    struct http_post hashed;  /* a thread is through with the bytes in `part`... */
    struct http_post patched; /* ...or with the delta there */
    int patch_result;
    struct error patch_error;
};

struct fetching {
    const struct pull_fetch_options *options;
    struct http_loop *loop;
    struct lane *lanes;
    size_t lane_count;
    struct pull_queue queue;
    bool is_paused; /* nothing is asked for again yet */
    struct http_timer pause;
    struct http_post filler; /* to lanes that wait for one */
    bool is_posted;
    struct workers *workers; /* where deltas are applied; NULL: no blob has a base */
    size_t at_threads;       /* lanes that are there, or whose bytes are hashed on one */
    int result;
    struct error error;
};

/* For the blob that it has: its file, and the question. */
void lane_fetch(struct lane *lane);
/* The next blob, if there is one. */
void lane_fill(struct lane *lane);
void lanes_fill(struct fetching *fetching); /* those that are idle */

/* What came is forgotten. */
void lane_restart(struct lane *lane);
/* The bytes in that file are right: they get their name. */
int lane_keep(struct lane *lane, const char *name, struct error *err);
/* The blob is here: on with the next. */
void lane_is_done(struct lane *lane);
/* The pull ends with the first failure. */
void lane_fail(struct lane *lane, int r, const struct error *err);
/* The part of a whole blob stays for the next pull, unless it fills the disk. */
void lane_end(struct lane *lane);

/* pull_delta.c */
#define PULL_DELTA_LATER_TIMES 4 /* then the whole is taken for an answer */
bool lane_is_delta(const struct api_answer *answer);
/* An answer to the question for a delta: true when it was taken care of. */
bool lane_take_delta(struct lane *lane, const struct api_answer *answer);
/* Comes of a thread, by lane.patched. */
void lane_delta_is_applied(void *context);
/* What the server had no turn for may be asked for again; by fetching.pause. */
void lanes_pause_is_over(void *context);
