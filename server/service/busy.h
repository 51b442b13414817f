/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "common/base/span.h"

struct error;

/*
 * busy - names of what one request works on alone: a blob of a push, its documents, its commit.
 *
 * Who comes second is told so at once, with one exception: a part of an upload that begins where
 * the one that is being taken ends may wait for that. So a sender need not let the line lie idle
 * while the server makes a part durable: the next one is on its way by then. Those who wait hold a
 * thread, hence one at a name, not for ever, and a bound on all of them. Any thread.
 */
#define BUSY_WAIT_MS 10000 /* what the services take */

struct busy;

int busy_new(unsigned waiting_max, uint64_t wait_ms, struct busy **out_busy, struct error *err);
struct busy *busy_free(struct busy *busy); /* NULL is fine; returns NULL. Nobody is inside. */

/* 0; -EBUSY: somebody else is at it; -ENOMEM. */
int busy_take(struct busy *busy, struct span name, struct error *err);
/* The same for the part [from, to) of an upload. */
int busy_take_part(struct busy *busy, struct span name, uint64_t from, uint64_t to,
                   struct error *err);
void busy_give(struct busy *busy, struct span name);
/* How many wait now. */
unsigned busy_waiting(struct busy *busy);
/* Nobody waits from here on, those that do are told -EBUSY. */
void busy_stop(struct busy *busy);
