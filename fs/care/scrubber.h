/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/client/blob_cache.h"

struct error;

/*
 * scrubber - hashes the complete objects of a cache again, slowly, one pass after the other.
 *
 * A thread of its own, with the lowest priority for processor and disk, past the page cache, at
 * most `bytes_per_s`, and standing still while somebody waits for bytes (up to SCRUB_YIELD_MS a
 * step). A pass begins `every_ms` after the one before began. Where it is stands in DIR/scrub: a
 * new process goes on there, and of several that share the cache the one that holds that file's
 * lock does the work; all of them learn of what it sets aside within seconds. A cache that cannot
 * be written is scrubbed all the same, from its beginning.
 */
struct scrubber;

#define SCRUB_YIELD_MS 2000

struct scrubber_options {
    struct blob_cache *cache;
    const char *directory; /* of the cache; copied */
    uint64_t bytes_per_s;  /* at least 1 */
    uint64_t every_ms;
    /* Somebody waits for bytes. May be NULL. On the scrubber's thread, as the next. */
    bool (*is_busy)(void *context);
    /* An object was wrong, and is set aside. May be NULL. */
    void (*found)(void *context, enum blob_kind kind, const struct digest *name, const char *text);
    void *context;
};

int scrubber_start(struct scrubber **out_scrubber, const struct scrubber_options *options,
                   struct error *err);
/* Ends the thread. NULL is fine; returns NULL. */
struct scrubber *scrubber_stop(struct scrubber *scrubber);

enum scrub_state {
    SCRUB_RUNS,      /* in the middle of a pass */
    SCRUB_WAITS,     /* for the next pass */
    SCRUB_ELSEWHERE, /* another process does it */
};

struct scrub_progress {
    enum scrub_state state;
    uint64_t passes;  /* that came to their end, since DIR/scrub was made */
    uint64_t objects; /* hashed in this pass, or in the last */
    uint64_t bytes;
    uint64_t wrong;        /* of those */
    int64_t started_at_s;  /* the pass; 0: none yet */
    int64_t ended_at_s;    /* the last whole one; 0: none yet */
    unsigned done_percent; /* of this pass */
};
void scrubber_progress(struct scrubber *scrubber, struct scrub_progress *out); /* any thread */
