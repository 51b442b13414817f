/* SPDX-License-Identifier: MIT */
#pragma once

#include "fs/main/exit_code.h"

struct error;
struct mount_options;

/*
 * mounted - one mount, wired: rooms (rooms.h), kernel, control socket; and its threads.
 *
 * Threads: the session's readers, the loop's, one for the control socket, a few workers of the
 * engine. The thread that calls mounted_run waits.
 */
struct mounted;

/* Everything up to the mount itself; *out_place tells where a failure came from. The options must
 * outlive it. After daemon_split. */
int mounted_open(struct mounted **out_mounted, const struct mount_options *options,
                 enum exit_place *out_place, struct error *err);
/* Where the log of a daemon goes. */
const char *mounted_log_path(const struct mounted *mounted);
/* Until it is unmounted, or SIGTERM or SIGINT. */
int mounted_run(struct mounted *mounted, struct error *err);
/* NULL is fine; returns NULL. */
struct mounted *mounted_close(struct mounted *mounted);
