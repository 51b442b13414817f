/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct delta_pair;
struct error;
struct services;

/*
 * delta_later - pairs that are worth a second look when nobody waits.
 *
 * A patch of a whole target by its whole base (delta.h, coding 2) is often the smallest delta, and
 * for large pairs it takes longer than somebody should wait for. Who was given another delta, or
 * none, leaves the pair here; the next who asks finds what came of it. And a large delta is given
 * without a proof (delta_make.h): one that is asked for again, so that others may be about to, is
 * proven here, once while that is remembered (delta_pair.h), and goes when it is wrong. The
 * list is short and is lost with the process: it is a chance, and no promise. Any thread.
 */
#define DELTA_LATER_MAX 32

struct delta_later;

int delta_later_new(struct delta_later **out_later, struct error *err);
struct delta_later *delta_later_free(struct delta_later *later); /* NULL is fine; returns NULL */

/* `size`: of the delta that there is; 0: none. Forgotten at once when a patch is out of the
 * question, the delta is small anyway, or the list is full. */
void delta_later_add(struct services *services, const struct delta_pair *pair, uint64_t size);

/* The delta that is kept was given; forgotten at once when it is proven or listed already. */
void delta_later_prove(struct services *services, const struct delta_pair *pair);

/* Looks at one pair of the list, so that whoever calls can end between two. *out_count: 1 when
 * something better was found for it, or that what is kept is wrong. Nothing is done when the
 * server stops. */
int delta_later_step(struct services *services, size_t *out_count, struct error *err);
