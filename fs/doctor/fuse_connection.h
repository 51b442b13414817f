/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct buf;

/*
 * fuse_connection - the kernel's own view of a connection (the fusectl file system), found by the
 * device number of its mount.
 *
 * Looking changes nothing: where fusectl is not mounted root reads it through a mount that is
 * nowhere (fsmount(2)). Nothing here ends a connection.
 */

/* How many requests wait for an answer. False: it cannot be seen. A connection is there as long as
 * its mount, whatever became of the daemon. */
bool fuse_connection_waiting(uint64_t device, uint64_t *out_waiting);

/* The command that ends it: all that waits fails with ENOTCONN. Appends. */
void fuse_connection_abort_command(uint64_t device, bool fusectl_is_mounted, struct buf *out);
bool fuse_connection_is_mounted(void); /* fusectl, where it belongs */
