/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct error;
struct services;

/*
 * event_hub - numbered events, to all who listen (event_listener.h).
 *
 * One reader of the table fans out: event_hub_step() (a job's step) reads what was numbered since,
 * by this process or another, into a ring, and wakes the listeners that want something of it. A
 * listener that is further behind than the ring reaches reads the table itself until it has caught
 * up. So a listener that waits is two numbers and a filter.
 */
struct event_hub_settings {
    /* The last quarter of the places is for tokens that have less than a sixteenth of all: a fleet
     * shares one token, and still nobody is kept out by it. */
    size_t listeners_max;           /* 0: 1400 */
    size_t listeners_per_token_max; /* 0: no further limit */
    uint32_t beat_ms;               /* between two signs of life; 0: 15000 */
};

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
