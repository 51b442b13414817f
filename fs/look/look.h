/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct error;

/*
 * look - which files of some mounts the processes of this machine have in their hands: what they
 * map, run, stand in (working and root directory) and have open. A mount whose kernel side asks for
 * no open and no close is told of none of this.
 *
 * It reads /proc, and only what the kernel answers from memory: no request reaches a file system,
 * so the look is of use also while nobody answers for the mount, and it is never what a mount waits
 * for. What it is given of strangers (paths in `maps`) it passes over. Processes of other mount
 * name spaces are seen as all others, since a file has the same device and inode in each of them;
 * what whoever looks may not see is passed over in silence, as are processes that end meanwhile.
 * The threads of a process share all this; one whose first thread has ended is looked at through
 * the others.
 *
 * It takes as long as there are processes: a matter for a process of its own (looker.h).
 */

/* The same file may be told many times. Non-zero ends the look, and is returned. */
typedef int look_found(void *context, uint64_t device, uint64_t inode);

struct look {
    const char *proc;        /* "/proc" */
    const uint64_t *devices; /* as in st_dev: the mounts */
    size_t device_count;
    look_found *found;
    void *context;
};

/* -ENOENT and the like: there is no such /proc. */
int look_at(const struct look *look, struct error *err);
