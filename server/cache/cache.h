/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

struct buf;
struct error;

/*
 * cache - bytes by key, for a while, perhaps.
 *
 * What is put may be gone at the next call: nothing may rest on it. A cache that
 * is away or full is a miss, never an error for the request that asks; only
 * opening one can fail. Keys are 1 to CACHE_KEY_MAX bytes. Any thread.
 */
#define CACHE_KEY_MAX 256

struct cache;

struct cache_counts {
    uint64_t hits, misses, evictions;
    uint64_t items, bytes; /* 0 when the backend cannot tell */
};

/* What a backend provides. */
struct cache_ops {
    const char *name; /* as in the configuration: "memory", "redis" */

    /* Appends the value to *out and returns true. */
    bool (*get)(struct cache *cache, struct span key, struct buf *out);

    /* Replaces what is there. Too large or not possible: forgets what was there. */
    void (*put)(struct cache *cache, struct span key, struct span value, uint32_t ttl_ms);

    void (*remove)(struct cache *cache, struct span key);

    void (*count)(struct cache *cache, struct cache_counts *out);

    void (*free)(struct cache *cache);
};

/* First member of every backend's own struct. */
struct cache {
    const struct cache_ops *ops;
};

struct cache *cache_free(struct cache *cache); /* NULL is fine; returns NULL */

/* True: the value was appended to *out. False: nothing was. A key that is no key is a miss. */
bool cache_get(struct cache *cache, struct span key, struct buf *out);
/* ttl_ms 0: as long as there is room. */
void cache_put(struct cache *cache, struct span key, struct span value, uint32_t ttl_ms);
void cache_remove(struct cache *cache, struct span key);
void cache_count(struct cache *cache, struct cache_counts *out);
