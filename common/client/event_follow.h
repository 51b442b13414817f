/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/net/retry.h"

struct api_client;
struct error;

/*
 * event_follow - events of one app, or of more, for as long as somebody wants to follow them.
 *
 * A stream that ends, or is silent for longer than the server's signs of life are apart, is opened
 * again, after a pause that grows and is spread (retry.h), at the next server when one is away.
 * It goes on behind the last number that came, so that nothing is lost in between. Where there is
 * no such number - at the start, and when the server says that some of it is gone - what is
 * followed has to be looked at anew: everything after that look is told.
 *
 * Loop thread only; the functions are called from inside the loop, also while other requests of the
 * client are waited for. They may do what they like but stop the follower.
 */
struct event_follow;

struct event_follow_spec {
    const char *project, *app; /* NULL: of all that the token sees */
    const char *types;         /* "version.promoted,version.rolled-back"; NULL: all */

    /* `data`: the event's JSON, as the server told it: not checked. */
    void (*on_event)(void *context, struct span type, struct span data);
    void (*on_anew)(void *context);
    /* It will not go on: -EPERM (401), -EACCES, -ENOENT, -EINVAL, -ENOMEM. Nothing comes after
     * that. */
    void (*on_end)(void *context, const struct error *err);
    /* The stream broke off, or could not be opened, `failures` times in a row, and will be opened
     * again; may be NULL. */
    void (*on_pause)(void *context, unsigned failures, uint64_t wait_ms, const struct error *err);
    void *context;

    uint64_t silence_ms;       /* 0: 45,000 */
    struct retry_policy retry; /* base_ms 0: 500 ms to 30 s; its tries do not count */
};

int event_follow_start(struct api_client *client, const struct event_follow_spec *spec,
                       struct event_follow **out, struct error *err);
/* NULL is fine; returns NULL. */
struct event_follow *event_follow_stop(struct event_follow *follow);

/* Whether the data of a promotion, as on_event got it, is about this channel. What cannot be read
 * may be: who looks once too often finds nothing to do. */
bool event_follow_is_of_channel(struct span data, const char *channel);
