/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct error;
struct json_writer;
struct rooms;

/*
 * following - what a channel points to, for the worker that shows it.
 *
 * It hears of promotions, and looks at the channel itself at the start and after gaps
 * (event_follow.h). Another version than the one that is shown is brought first (arrival.h); then
 * the holder is asked, over `socket`, to show it ({"switch": VERSION, "tree": DIGEST}): it starts
 * another worker, and this one rests. What fails is tried again after a pause that grows from one
 * second to a minute; a channel that is empty, or gone, leaves what is shown.
 *
 *     RESTS --following_set--> WATCHES --looks--> LOOKS --other version--> BRINGS --> ASKED
 *                                 ^                 |                        |          |
 *                                 +----the same-----+--------failed----------+--refused-+
 *
 * Loop thread, except following_json.
 */
struct following;

struct following_options { /* all outlive it; texts too */
    struct rooms *rooms;
    const char *channel, *version; /* what is followed, what is shown */
    bool whole;                    /* a version has to be in the cache before it is shown */
    int socket;
};

int following_new(struct following **out_following, const struct following_options *options,
                  struct error *err);
/* This worker is the one that follows, or not any more. */
void following_set(struct following *following, bool on);
/* The holder could not do what it was asked for. */
void following_refused(struct following *following, const char *why);
/* Nothing is begun any more; before the client is freed. NULL is fine. Loop thread, or none
 * running. */
void following_end(struct following *following);
/* After the rooms were closed. NULL is fine; returns NULL. */
struct following *following_free(struct following *following);

/* Members of an object: "coming", the version that is brought, and "error", why the last try
 * failed; null each when there is none. NULL is fine. Any thread. */
void following_json(struct following *following, struct json_writer *writer);
