/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "server/service/event_filter.h"

struct error;
struct refusal;
struct services;

/*
 * event_hub - numbered events, to all who listen.
 *
 * One reader of the table fans out: event_hub_step() (a job's step) reads what was numbered since,
 * by this process or another, into a ring, and wakes the listeners that want something of it. A
 * listener that is further behind than the ring reaches reads the table itself until it has caught
 * up. So a listener that waits is a number and a filter.
 *
 * What a listener is told, in order, none lost and none twice: first a line with the number at
 * which it begins, then each event it wants and may see with a larger number; when nothing came for
 * a while, a sign of life with the number it has come to. When events that it has not seen are no
 * longer kept, or the number it begins at was never given (another database), `gone` instead, and
 * then what is new.
 */
struct event_listener;

struct event_hub_settings {
    size_t listeners_max;           /* 0: 1000 */
    size_t listeners_per_token_max; /* 0: 500 */
    uint32_t beat_ms;               /* between two signs of life; 0: 15000 */
};

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

/* Every second, and after events were numbered. Numbers itself what another process wrote. */
int event_hub_step(struct services *services, size_t *out_count, struct error *err);

struct event_hub_counts {
    size_t listeners;
    uint64_t sent; /* events, to all of them */
};
void event_hub_count(struct services *services, struct event_hub_counts *out);

/* For services.c. */
struct event_hub;
int event_hub_new(const struct event_hub_settings *settings, struct event_hub **out,
                  struct error *err);
struct event_hub *event_hub_free(struct event_hub *hub); /* nobody listens any more */
