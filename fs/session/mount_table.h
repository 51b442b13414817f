/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "common/base/span.h"

struct error;

/*
 * mount_table - what is mounted, from /proc/self/mountinfo.
 *
 * Asking the kernel's table instead of stat(2) sends no request to the file system
 * that is mounted there, so it cannot hang, also inside the daemon that serves it.
 */

/* The device number (as in st_dev) of what is on top at `mountpoint`. -ENOENT: nothing is mounted
 * there. */
int mount_table_device(const char *mountpoint, uint64_t *out_device, struct error *err);

/* The type of what is on top at `mountpoint` ("fuse.kkartifact"); memory_free() it. -ENOENT. */
int mount_table_type(const char *mountpoint, char **out_type, struct error *err);

/* What is mounted on top there, as it was given to mount(2); memory_free() it. -ENOENT. */
int mount_table_source(const char *mountpoint, char **out_source, struct error *err);

/* The mount point that has this device; memory_free() it. -ENOENT. */
int mount_table_mountpoint(uint64_t device, char **out_mountpoint, struct error *err);

/* The pure part, for tests: device, type and source (parts of `table`, the source with its octal
 * escapes; may be NULL) of the last line of `table` that mounts `mountpoint`. */
int mount_table_find(struct span table, const char *mountpoint, uint64_t *out_device,
                     struct span *out_type, struct span *out_source);
