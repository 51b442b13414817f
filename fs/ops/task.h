/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"

/*
 * task - whether the one who waits is being killed.
 *
 * A task inside a request of ours sleeps where even SIGKILL waits for our answer, and the kernel
 * tells of one signal only, which may have been a harmless one. So it is looked up (about 10 us).
 */
bool task_is_killed(uint32_t pid); /* a thread's id; 0 and what is gone: false */

/* The pure part: a task's /proc/N/status with SIGKILL pending. */
bool task_status_is_killed(struct span status);
