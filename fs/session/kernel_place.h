/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

struct error;
struct kernel_mount_options;

/*
 * kernel_place - mounts of ours that are made first and put in place later, for root: so that one
 * takes the place of another without a moment in which there is none.
 *
 * The descriptor of a mount keeps it alive wherever it is: close it when it is in place. Nothing
 * here asks the file system that is mounted.
 */

/* Mounts what `fd`, an open /dev/fuse, answers, at no place yet; like kernel_mount(). */
int kernel_place_make(int fd, const struct kernel_mount_options *options, int *out_mount,
                      uint64_t *out_device, struct error *err);
/* Puts it on top of what is at `target`. */
int kernel_place_on(int mount, const char *target, struct error *err);
/* Puts it below what is mounted on top at `target`. -EINVAL: the kernel cannot (before 6.5), or
 * nothing is mounted there. */
int kernel_place_beneath(int mount, const char *target, struct error *err);
/* Takes what is on top at `target` away, lazily, if it is `device`; else -EBUSY. */
int kernel_place_take_off(const char *target, uint64_t device, struct error *err);
