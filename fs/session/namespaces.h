/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/span.h"

struct error;

/*
 * namespaces - processes for which a change of what is mounted at a place is not made.
 *
 * A process in a mount namespace of its own sees what is mounted and unmounted at a place after it
 * was made only when the mount that the place lies on is a peer or a slave of ours there
 * (mount_namespaces(7)). Of all others, those are found that can reach the place's directory, or
 * that have what is mounted there now (`device`; 0: nothing) somewhere else of their own: they go
 * on with that for ever.
 *
 * Only texts of /proc are read; nothing that is mounted is asked.
 */

/* Calls each for every such process, in the order of ids, until it returns non-zero, which is
 * returned. Processes that end meanwhile, or whose table may not be read, are passed over. */
typedef int namespaces_each(void *context, pid_t pid, const char *command);
int namespaces_find_private(const char *target, uint64_t device, namespaces_each *each,
                            void *context, struct error *err);

/* The pure part: by our table of mounts and by theirs. */
bool namespaces_is_private(struct span ours, struct span theirs, const char *target,
                           uint64_t device);
