/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct blob_store;
struct cache;
struct database;
struct error;

/*
 * services - what the rules need to work: the backends, the limits, and the
 * in-process memory of immutable facts (context.h, private).
 *
 * One per server; everything below it takes it as its first argument. All
 * functions of this folder may be called from any thread and may block on the
 * database, the store or the processor (argon2, hashing), so they belong on
 * worker threads; those named *_cached never block and may run on an event loop.
 * Texts that come in are checked here: names that break DESIGN 3 are answered like
 * unknown ones (-ENOENT) when they are looked up, with -EINVAL when they are made.
 */
struct services;

#define SERVICES_PART_SIZE_DEFAULT (16u << 20)
#define SERVICES_PART_SIZE_MAX (64u << 20)

struct services_settings {
    struct database *database;  /* borrowed, outlives the services; its clock is theirs */
    struct blob_store *store;   /* borrowed */
    struct cache *cache;        /* borrowed; NULL: none */
    const char *scratch_path;   /* a directory for files without a name; NULL: memory (tests) */
    uint32_t part_size;         /* what a PATCH may carry; 0: the default */
    uint64_t listing_max;       /* bytes; 0: 4 GiB */
    size_t facts_max;           /* entries of each in-process memory; 0: 65536 */
    size_t open_max;            /* trees, and open blobs, kept for the next request; 0: 256 */
    size_t event_listeners_max; /* 0: the default of event_hub.h, here and below */
    size_t event_listeners_per_token_max;
    uint32_t event_beat_ms;
    const char *delta_path;    /* a directory of the services' own for deltas; NULL: not kept */
    uint64_t delta_cache_size; /* bytes of it; 0: not kept */
    unsigned password_checks;  /* argon2 computations at once; 0: 2 */
    unsigned workers; /* threads that call these services: work on deltas and chunk lists never
                         holds more than half of them, but one at a time, and parts of uploads that
                         wait for the one before them a quarter; 0: 16 */
};

int services_new(const struct services_settings *settings, struct services **out_services,
                 struct error *err);
struct services *services_free(struct services *services); /* NULL is fine; returns NULL */

/* The server ends: long work on deltas that goes on gives up at its next step, and none begins
 * (-EAGAIN); everything else is served on. For good, from any thread. */
void services_stop(struct services *services);

/* The store's id (a UUID as text), for X-Kkartifact-Store. Lives with the services. */
const char *services_store_id(const struct services *services);
uint32_t services_part_size(const struct services *services);
int64_t services_now(const struct services *services);
/* Deltas that were kept and found to be wrong, since the start. */
uint64_t services_wrong_deltas(const struct services *services);

/* 0 when the database and the store answer (healthz is nothing, readyz is this). Blocks. */
int services_ready(struct services *services, struct error *err);

/* Calls `function` whenever a call of these services wrote an event, so that the sequencer need not
 * look often; it must be short and never come back here. NULL: nobody. */
void services_on_event(struct services *services, void (*function)(void *context), void *context);
