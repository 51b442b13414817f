/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * cache_lock - one writer among the processes that share a file.
 *
 * The lock belongs to the open file and goes with it, also when the process dies.
 */

/* 0, or -EBUSY when someone else has it (also another descriptor of this process). */
int cache_lock_try(int fd);
