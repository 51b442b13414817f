/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"

struct error;

/*
 * kernel_mount - what root does to mount a connection, whoever answers it then.
 */
struct kernel_mount_options {
    const char *source;  /* shown as the mounted thing */
    const char *subtype; /* the type shown is fuse.SUBTYPE */
    bool allow_other;
    bool noexec;
};

/* Mounts what `fd`, an open /dev/fuse, answers; read-only, noatime, nosuid, nodev. */
int kernel_mount(int fd, const char *mountpoint, const struct kernel_mount_options *options,
                 struct error *err);
/* Takes it away, lazily, when what is on top there is still this device. */
void kernel_mount_end(const char *mountpoint, uint64_t device);

/* Raises read-ahead to 1 MiB; the kernel lets nobody do so before the negotiation. Where it is not
 * allowed requests have 128 KiB: slower, but right. */
void kernel_mount_raise_read_ahead(uint64_t device);

/* The connection was unmounted or aborted: nothing is asked any more. */
bool kernel_mount_is_over(int fd);
