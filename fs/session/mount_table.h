/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

struct buf;
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

/* The devices of those of this type that lie on each other on top at `mountpoint`, from the topmost
 * down, at most `max`. Returns how many there are; 0 also when the table cannot be read. */
size_t mount_table_stack(const char *mountpoint, const char *type, uint64_t *out_devices,
                         size_t max);

/* The mount point that has this device; memory_free() it. -ENOENT. */
int mount_table_mountpoint(uint64_t device, char **out_mountpoint, struct error *err);

/* A line of the table, see proc(5): parts of the text, with its octal escapes. */
struct mount_line {
    uint64_t id, parent; /* of the mount, and of the one that it is mounted on */
    uint64_t device;
    struct span root; /* what of the file system is mounted */
    struct span mountpoint;
    struct span fields; /* "shared:1 master:2", may be empty */
    struct span type, source;
    struct span options; /* of the file system; may be empty */
};

/* False: it is none. */
bool mount_line_parse(struct span text, struct mount_line *out);
/* Space, tab, newline and backslash stand as \ooo; appends what is meant. */
void mount_line_unescape(struct span text, struct buf *out);

/* The line of `table` that is on top at `mountpoint`: a mount may have been put below another, so
 * that it is not always the last one. -ENOENT. */
int mount_table_find(struct span table, const char *mountpoint, struct mount_line *out);

/* One line of the table. The texts live until the call returns. */
struct mount_table_entry {
    uint64_t device;
    const char *mountpoint, *type, *source;
    uint32_t user; /* of a FUSE mount: who mounted it; else 0 */
};
/* Every mount of this process's name space, lower ones first, until non-zero, which is returned. */
typedef int mount_table_each(void *context, const struct mount_table_entry *entry);
int mount_table_walk(mount_table_each *each, void *context, struct error *err);
int mount_table_walk_text(struct span table, mount_table_each *each, void *context);
