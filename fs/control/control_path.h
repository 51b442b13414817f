/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

struct buf;
struct error;

/*
 * control_path - where the sockets of running mounts are: one directory of the user's own, a name
 * made of the mount's device number.
 *
 * /run/kkartifact for root; else $XDG_RUNTIME_DIR/kkartifact, or /tmp/kkartifact-UID without one.
 */

/* Makes the directory (0700); one that is another's is refused (-EACCES). */
int control_path_directory(struct buf *out, struct error *err);
/* DIRECTORY/MAJOR-MINOR.sock; .holder, where a mount's holder answers for itself; and
 * MAJOR-MINOR-PID.log of this process: the number of a device is used again as soon as its mount is
 * gone. Each appends. */
void control_path_socket(struct buf *out, const char *directory, uint64_t device);
void control_path_holder(struct buf *out, const char *directory, uint64_t device);
void control_path_log(struct buf *out, const char *directory, uint64_t device);
