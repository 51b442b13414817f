/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

#include "common/base/error.h"
#include "common/codec/digest.h"
#include "common/model/names.h"

struct rooms;
struct tree_mount;

/*
 * arrival - has a version come so far that it can be shown: its tree is open, and when that is
 * asked for all of it is in the cache.
 *
 * The struct is the caller's and must stay until done was called, which happens once, on the loop's
 * thread and never from inside arrival_start. An arrival cannot be called off; one whose rooms are
 * closed ends with -ECANCELED. Errors: those of tree_set_open and care_bring_then.
 */
typedef void arrival_done(void *context, const struct error *err);

struct arrival {
    struct rooms *rooms;
    char version[VERSION_TEXT_SIZE]; /* of the app that the rooms show */
    bool whole;                      /* all of it has to be in the cache */
    struct digest tree;              /* set when done is called without an error */
    arrival_done *done;
    void *context;
};

/* Of the members, all but tree have been set. */
int arrival_start(struct arrival *arrival, struct error *err);
