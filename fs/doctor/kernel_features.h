/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

/*
 * kernel_features - what this kernel can do for a mount, by asking it where that is possible
 * without a mount, else by its version.
 */

/* "6.18.5-amd64" -> 6, 18. False: it is no version. */
bool kernel_release_parse(const char *release, unsigned *out_major, unsigned *out_minor);

struct kernel_features {
    char release[65];
    unsigned major, minor; /* 0: not known */
    bool passthrough;      /* files of the cache are read past the daemon: 6.9 */
    bool resend;           /* requests of a dead worker come again: 6.9 */
    bool mount_beneath;    /* a mount under another: 6.5 */
};

/* fuse: an open /dev/fuse that nothing is mounted with, or -1. */
void kernel_features_find(int fuse, struct kernel_features *out);
