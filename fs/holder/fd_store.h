/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * fd_store - the service manager's store of descriptors (sd_notify(3), FDSTORE=1), which outlives
 * the holder: with connection, requests and state in it a new holder goes on with the mount.
 */

struct fd_store { /* -1: there is none */
    int fuse, ring, opens, state;
};

/* Gives them to it; again with every change of them, never for what is written into them. */
void fd_store_keep(const struct fd_store *given);
/* The mount is over. */
void fd_store_drop(void);

/* What the manager gave to this process (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES); -1 each when it
 * did not. The variables are taken away, the descriptors are close-on-exec; others of the manager's
 * are closed. */
void fd_store_take(struct fd_store *out);
