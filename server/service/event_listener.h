/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "server/service/event_filter.h"

struct error;
struct refusal;
struct services;

/*
 * event_listener - one who listens to events (event_hub.h).
 *
 * What it is told, in order, none lost and none twice: first a line with the number at which it
 * begins, then each event it wants and may see with a larger number; when nothing came for a while,
 * a sign of life with the number it has come to. When events of what it wants are no longer kept,
 * or the number it begins at was never told (another database), `gone` instead, and then what is
 * new.
 *
 * Each number that it is told is that of an event it may see, the last one up to where the stream
 * has come: how much happens elsewhere is not to be read from it, nor from what is called `gone`.
 * To come back with it loses nothing, for nothing behind it was for the listener; and it is gone
 * only when something of its own is.
 */
struct event_listener;

struct event_wish {
    const struct identity *identity;
    struct event_filter *filter; /* taken over, also on failure */
    const int64_t *after;        /* behind this number; NULL: only new ones */
};

enum event_turn {
    EVENT_TURN_BYTES,
    EVENT_TURN_WAIT, /* until it is woken */
    EVENT_TURN_LOAD, /* event_listener_load() first */
    EVENT_TURN_END,
};

/* Blocks. `wake` is called from any thread, under a lock: it must not come back here.
 * -EAGAIN with REFUSAL_RATE_LIMITED: the token listens often enough; REFUSAL_NOT_READY: too many
 * listen. */
int event_listener_open(struct services *services, const struct event_wish *wish,
                        struct event_listener **out, struct refusal *why, struct error *err);
/* From then on until it is closed. */
void event_listener_on_wake(struct event_listener *listener, void (*wake)(void *context),
                            void *context);
/* One call of these two at a time. Never blocks. */
enum event_turn event_listener_take(struct event_listener *listener, void *out, size_t size,
                                    size_t *out_size);
/* Blocks. */
int event_listener_load(struct event_listener *listener, struct error *err);
/* Never blocks. NULL is fine; returns NULL. */
struct event_listener *event_listener_close(struct event_listener *listener);
