/* SPDX-License-Identifier: MIT */
#pragma once

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/*
 * timed_wait - waits on a condition that end in time, by the clock that nobody sets.
 */

/* For pthread_cond_timedwait() with deadlines of timed_wait_deadline(). */
void timed_wait_init(pthread_cond_t *condition);
struct timespec timed_wait_deadline(uint64_t wait_ms);
