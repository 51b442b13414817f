/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "fs/doctor/findings.h"
#include "fs/doctor/mount_look.h"

/*
 * examination - what the checks of doctor.c share, each in a file of its own: what is examined, and
 * what was found. A check adds a finding, whatever it finds.
 *
 * None of them asks a path inside a mount of ours: with nobody there who answers it would hang too.
 */
struct examination {
    bool is_root;
    const char *default_cache;
    struct mount_look *mounts; /* ours, looked at */
    size_t mount_count;
    struct findings *findings;
};

/* machine.c */
void check_kernel(struct examination *examination);
void check_device(struct examination *examination);
void check_features(struct examination *examination);
void check_library(struct examination *examination);
void check_helper(struct examination *examination);
void check_user(struct examination *examination);
void check_limits(struct examination *examination);
/* cache_check.c */
void check_caches(struct examination *examination);
/* mount_check.c */
void check_mounts(struct examination *examination);
void check_connections(struct examination *examination);
void check_units(struct examination *examination);
