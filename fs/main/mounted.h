/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/main/exit_code.h"

struct error;
struct mount_options;
struct rooms;
struct rooms_given;
struct session_connection;
struct session_options;
struct worker_config;

/*
 * mounted - one mount, wired: rooms (rooms.h), kernel, control socket; and its threads.
 *
 * Threads: the session's readers, the loop's, one for the control socket, a few workers of the
 * engine. The thread that calls mounted_run waits.
 *
 * A user's mount is one process, which mounts and unmounts (mounted_open). The worker of a holder
 * has its connection from there (mounted_open_rooms, then mounted_serve) and leaves the mount where
 * it is.
 */
struct mounted;

/* Everything up to the mount itself; *out_place tells where a failure came from. The options must
 * outlive it. After daemon_split. */
int mounted_open(struct mounted **out_mounted, const struct mount_options *options,
                 enum exit_place *out_place, struct error *err);
/* Where the log of a daemon goes. */
const char *mounted_log_path(const struct mounted *mounted);

/* The same up to where the kernel comes in. */
int mounted_open_rooms(struct mounted **out_mounted, const struct mount_options *options,
                       struct rooms_given *given, enum exit_place *out_place, struct error *err);
struct rooms *mounted_rooms(struct mounted *mounted);
/* Goes on with the holder's connection; says so, and hears what the holder says, over `socket`.
 * The config must outlive it. */
int mounted_serve(struct mounted *mounted, const struct worker_config *config,
                  const struct session_connection *connection, int socket, struct error *err);

/* Until it is unmounted, or SIGTERM or SIGINT. */
int mounted_run(struct mounted *mounted, struct error *err);
/* A worker that was told to make room: what waits is the next one's, so nothing is to be answered
 * or closed any more. */
bool mounted_leaves(const struct mounted *mounted);
/* NULL is fine. False: something still waits for a silent server, so nothing was freed and what was
 * given must stay; the process has to end. */
bool mounted_close(struct mounted *mounted);

struct session_options mounted_session_options(const struct mount_options *options);
