/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "server/db/events.h"
#include "server/service/event_filter.h"

struct buf;
struct error;

/*
 * event_ring - the newest numbered events, as text that is ready to be sent, for all who listen.
 *
 * It holds every event with floor < number <= last, ascending. Adding beyond its limits lets the
 * oldest go and lifts the floor. No locks: its owner has one.
 */
struct event_entry {
    int64_t number;
    char type[EVENT_TYPE_SIZE];
    char project[NAME_TEXT_SIZE], app[NAME_TEXT_SIZE];
    char *text; /* event_text.h */
    size_t text_size;
};

struct event_ring {
    struct event_entry *entries;
    size_t capacity, first, count;
    size_t bytes, bytes_max; /* of the texts */
    int64_t floor, last;
};

int event_ring_init(struct event_ring *ring, size_t capacity, size_t bytes_max, struct error *err);
void event_ring_release(struct event_ring *ring); /* a zeroed one is fine */

/* Forgets all, and goes on behind `last`. */
void event_ring_restart(struct event_ring *ring, int64_t last);
/* One whose number is larger than `last`. -ENOMEM: as it was. */
int event_ring_add(struct event_ring *ring, const struct event *event, struct error *err);

/* The i-th from the oldest. */
const struct event_entry *event_ring_at(const struct event_ring *ring, size_t i);
/* The index of the first behind `number`; `count` when there is none. */
size_t event_ring_behind(const struct event_ring *ring, int64_t number);
