/* SPDX-License-Identifier: MIT */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "server/db/events.h"
#include "server/service/access.h"
#include "server/service/event_filter.h"
#include "server/service/event_hub.h"
#include "server/service/event_ring.h"

struct error;
struct services;

/* event_hub_state - what the hub and its listeners know of each other: event_hub.c,
 * event_listener.c. All of a listener but its filter is under the hub's lock once it has joined. */
struct event_listener {
    struct services *services;
    struct event_filter filter;
    char token[IDENTITY_ID_SIZE];
    struct event_listener *previous, *next;
    void (*wake)(void *context);
    void *wake_context;
    int64_t position;   /* everything up to here is told, or was not for it */
    int64_t seen;       /* the last number up to there that it may know of */
    struct buf pending; /* on its way */
    uint64_t told_ms;   /* when something was */
    bool beats;         /* it is time for a sign of life */
};

struct event_hub {
    struct event_hub_settings settings;
    pthread_mutex_t step_lock; /* one reader; before the other lock */
    pthread_mutex_t lock;
    struct event_ring ring;
    bool started; /* the ring follows the table */
    struct event_listener *first;
    struct event_hub_counts counts;
};

/* Has the ring follow the table, if it does not yet. Blocks. */
int event_hub_follow(struct services *services, struct error *err);

/* Under the lock. */
void event_listener_wake(struct event_listener *listener);

/* Of the ring, which had come to `before`, and has more now: the listener is woken for what it
 * wants of it, or comes along. One that is further behind than `before` goes on by itself. Under
 * the lock. */
void event_listener_tell(struct event_listener *listener, const struct event_ring *ring,
                         int64_t before);
