/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

struct error;
struct mount_options;

/*
 * held_mount - root's mount: held by one process, answered by another (fs/holder/holder.h). Each
 * returns the exit code.
 */

/* Mounts, or goes on with what the service manager kept of this mount, and holds it until it
 * ends. */
int held_mount(const struct mount_options *options, bool foreground, struct error *err);

/* Attaches one version at a place, and holds it until it is detached and nobody uses it any more.
 * exec: the command after a switch, or NULL. */
int held_attach(const struct mount_options *options, const char *exec, bool foreground,
                struct error *err);

/* The program that a holder became by an upgrade: kkartifact-fs HOLDER_WORD N. */
int held_mount_resume(int state_fd, struct error *err);
