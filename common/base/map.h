/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

/*
 * map - from a key of bytes to a pointer.
 *
 * Open addressing, SipHash-1-3 under a key of its own (made at the first
 * insertion), so that a stranger cannot choose keys that collide. Keys are
 * copied; values belong to the caller. One thread at a time.
 */
struct map_entry; /* opaque */

struct map {
    struct map_entry *entries;
    size_t capacity; /* 0 or a power of two */
    size_t count;
    size_t used; /* with the removed ones */
    uint64_t hash_key[2];
};

struct map map_init(void);         /* allocates nothing */
void map_release(struct map *map); /* values are not touched */

/* The value, or NULL. */
void *map_get(const struct map *map, struct span key);
bool map_has(const struct map *map, struct span key);

/* Sets or replaces. *out_old (may be NULL) is the value replaced, or NULL. -ENOMEM: map
 * unchanged. */
int map_set(struct map *map, struct span key, void *value, void **out_old);

/* Removes; returns the value, or NULL. Allowed while walking, for the key just seen. */
void *map_remove(struct map *map, struct span key);

/* Walks in no order: *at starts at 0. False at the end. */
bool map_next(const struct map *map, size_t *at, struct span *out_key, void **out_value);

/* SipHash-1-3, for others who hash what strangers choose (J.-P. Aumasson, D. J. Bernstein,
 * "SipHash: a fast short-input PRF"). */
uint64_t map_hash(const uint64_t key[2], struct span bytes);
