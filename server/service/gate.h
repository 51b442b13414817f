/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"

struct error;

/*
 * gate - at most so many long computations at a time, and none of them twice at once.
 *
 * Work has a name. Whoever comes while the same work is being done waits for it, for its result is
 * his too; whoever comes while enough other work is being done waits for a turn. Those who wait
 * hold a thread, so there is a bound on them as well: beyond it, and after the time that somebody
 * can wait, the answer is no. Any thread.
 */
struct gate;

enum gate_turn {
    GATE_MINE, /* do it, then gate_leave() */
    GATE_DONE, /* another has done it meanwhile, or failed to */
    GATE_FULL, /* not now */
};

int gate_new(struct gate **out_gate, unsigned working_max, unsigned waiting_max, struct error *err);
struct gate *gate_free(struct gate *gate); /* NULL is fine; returns NULL. Nobody is inside. */

enum gate_turn gate_enter(struct gate *gate, struct span name, uint64_t wait_ms);
void gate_leave(struct gate *gate, struct span name);

/* For work that nobody waits for: it takes no turn from those who do, and never waits. One at a
 * time, and only of what nobody else is at. True: gate_leave(). */
bool gate_enter_behind(struct gate *gate, struct span name);
