/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

#include "fs/usage/version_names.h"

/*
 * in_use - the versions that are in use at one moment, each with all its reasons.
 *
 * Collected from several sides: what one of them tells again gets one reason more.
 */
enum in_use_reason {
    IN_USE_ATTACHED = 1,    /* it is shown at a place of its own */
    IN_USE_PINNED = 2,      /* it is to stay in the cache */
    IN_USE_PREFETCHING = 4, /* it is being brought there */
    IN_USE_OPEN = 8,        /* a look found a process that has something of it (fs/look) */
    IN_USE_RECENT = 16,     /* read, or found open, not long ago */
};

/* "attached" and so on, for the bits in order; NULL behind the last. */
extern const char *const in_use_words[];

struct in_use_item {
    struct version_names names;
    unsigned reasons;  /* of enum in_use_reason */
    const char *state; /* "remote", "partial", "complete"; NULL: not looked at */
};

struct in_use {
    struct in_use_item *items;
    size_t count, capacity;
    bool has_failed; /* out of memory: something is missing */
};

/* Zeroed memory is an empty one. Names that break the rules are passed over. */
void in_use_add(struct in_use *set, const char *project, const char *app, const char *version,
                enum in_use_reason reason);
/* In the order of names, each once, with the reasons of all. After the last in_use_add(). */
void in_use_sort(struct in_use *set);
void in_use_release(struct in_use *set);
