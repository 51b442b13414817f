/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct findings;

/*
 * cache_check - one cache directory: whose it is, what it lies on, its room, what was set aside in
 * it, how far the scrubber is, what dead writers left.
 *
 * Nothing is changed: a file without a name tells whether the disk can be written. Names in the
 * cache are its user's, and never followed through a link.
 */
struct cache_facts {
    const char *path;
    bool is_used;        /* a mount has told the rest */
    uint64_t bytes;      /* kept */
    uint64_t quota;      /* 0: none */
    uint64_t free_limit; /* to be left free on the file system */
};

void cache_check(const struct cache_facts *facts, struct findings *findings);

/* What a file system of this type (statfs) means for a cache; NULL: nothing. */
const char *cache_check_type(long type, bool *out_is_fault);
