/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

struct error;

/*
 * former_mount - a mount of ours that is at a place already.
 */
#define FORMER_MOUNT_TYPE "fuse.kkartifact"

/* Makes the place ready for a mount of `server`: mounts of ours whose daemon is gone are taken
 * away, with a notice. -EBUSY: the same server is mounted there, and answers. `mountpoint` is
 * resolved. Asks the mount itself, so it waits for a daemon that is stopped. */
int former_mount_clear(const char *mountpoint, const char *server, struct error *err);

/* Unmounts: root by umount2(2), others through fusermount3. -EBUSY: programs use it, and `lazy` is
 * not set. */
int former_mount_remove(const char *mountpoint, bool lazy, struct error *err);
