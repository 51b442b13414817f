/* SPDX-License-Identifier: MIT */
#pragma once

#include "common/client/lease_pace.h"
#include "common/model/names.h"

struct job;

/*
 * in_use - the server is told that a version was pulled and is in use here: who cleans up there
 * then leaves it alone, and `hosts` and `wait` know. Who goes on (pull --follow) says it again
 * each time that the server wants to hear it, an hour as a rule: otherwise it would be taken for
 * abandoned.
 *
 * The pull is done: what fails is a warning at most, and is tried again. A server that knows
 * nothing of this is no failure.
 */
struct in_use {
    struct job *job;
    const char *project, *app, *path;
    char version[VERSION_TEXT_SIZE]; /* "": nothing was said yet */
    struct lease_pace pace;          /* of clock_monotonic_ms */
};

struct in_use in_use_of(struct job *job, const char *project, const char *app, const char *path);

/* That version was pulled. */
void in_use_say(struct in_use *self, const char *version);
/* The one that was said last is still there. */
void in_use_renew(struct in_use *self);
