/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct error;
struct job;

/*
 * follow - does something again whenever a version is promoted on a channel, until it is told to
 * stop or the server refuses.
 *
 * Several promotions that come while it is at work, or within a second of the last turn's begin,
 * are one more turn: a server that promotes without end is not followed more often than that. A
 * turn that fails is told, and tried again after a pause that grows from a second to a minute; one
 * whose exit code is "not allowed" ends it. What is missed while the server is away is made up for
 * (event_follow.h).
 */
struct follow_options {
    struct job *job; /* connected, with one lasting connection */
    const char *project, *app, *channel;
    /* -ENOENT: nothing is on the channel, and that is fine. *out_again: a failure is worth
     * another try before the next promotion (it is true beforehand). */
    int (*turn)(void *context, bool *out_again, struct error *err);
    /* What has to be done now and then in between, at that time of clock_monotonic_ms. */
    uint64_t (*renewal_ms)(void *context);
    void (*renew)(void *context);
    void *context;
};

/* -ECANCELED when interrupted; else why it ended. */
int follow_run(const struct follow_options *options, struct error *err);
