/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

struct error;
struct services;

/*
 * retention_schedule - asking for a run of retention when its schedule says so (policy.h:
 * retention_schedule, time_zone).
 *
 * The next time is in the database (server/db/schedules.h): of several servers one asks, and a time
 * that passed while none was there is made up for once. The run is not forced: one that would take
 * too much fails and says so.
 */

/* A step of the runner. *out_count: 1 when it asked. */
int retention_schedule_step(struct services *services, size_t *out_count, struct error *err);
