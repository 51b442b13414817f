/* SPDX-License-Identifier: MIT */
#pragma once

struct error;
struct findings;

/*
 * doctor - looks at this machine, the caches and the mounts, and tells what is as it should be, and
 * what to do about the rest. It changes nothing.
 *
 * It answers within seconds, whatever state the mounts are in: no path inside one of them is looked
 * at. doctor.c has the table of checks; each is a function in the file of what it looks at.
 */
struct doctor_options {
    const char *mountpoint;    /* resolved; NULL: every mount */
    const char *default_cache; /* looked at, too, when no mount is named */
};

/* -ENOENT: no mount of kkartifact is there. */
int doctor_examine(const struct doctor_options *options, struct findings *findings,
                   struct error *err);
