/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/client/blob_cache.h"
#include "common/codec/digest.h"
#include "common/model/names.h"

struct content_set;
struct error;

/*
 * pins - versions that stay in the cache: what belongs to a pinned one is not evicted.
 *
 * One file in the cache directory, "pins", to which lines are only ever added (fact_log.h): every
 * mount and process that shares the cache reads it, also those of other stores, so that none evicts
 * what another has pinned. It is looked at again before something is evicted, once a second at
 * most. What belongs to a version is found out from its tree image in the cache; while that is not
 * there (never was, or was damaged), what was known of it in this process goes on.
 *
 * A *hold* is the same for as long as somebody needs it, in this process alone: a version that is
 * being fetched ahead.
 *
 * Any thread. A cache that cannot be written takes no pin (the errno of the disk); those that are
 * there count.
 */
struct pins;
struct pin_hold;

struct pin {
    char store[64];
    char project[NAME_TEXT_SIZE], app[NAME_TEXT_SIZE], version[VERSION_TEXT_SIZE];
    struct digest tree; /* verity digest of the image, and its size */
    uint64_t tree_size;
};

/* directory: of the cache, or NULL: nothing is remembered. A damaged file has the lines that are
 * whole. -ENOMEM. */
int pins_open(const char *directory, struct pins **out_pins, struct error *err);
struct pins *pins_close(struct pins *pins); /* after the cache; NULL is fine; returns NULL */

/* For the options of the cache; and the cache that was opened with it. */
const struct blob_cache_keeper *pins_keeper(struct pins *pins);
void pins_use(struct pins *pins, struct blob_cache *cache);

/* Pins, durably. The tree must be in the cache (-EAGAIN). Pinned already: its tree is replaced. */
int pins_add(struct pins *pins, const struct pin *pin, struct error *err);
/* The tree is not looked at. -ENOENT: it is not pinned. */
int pins_remove(struct pins *pins, const struct pin *pin, struct error *err);

bool pins_has(struct pins *pins, const char *store, const char *project, const char *app,
              const char *version);
/* Every pin of a store, until non-zero; nothing is locked meanwhile. */
typedef int pins_each_function(void *context, const struct pin *pin);
int pins_each(struct pins *pins, const char *store, pins_each_function *each, void *context);

/* What is pinned takes together with `more` (or NULL), each content once. */
int pins_bytes(struct pins *pins, const struct content_set *more, uint64_t *out_bytes,
               struct error *err);

/* The set must stay until it is let go. NULL: out of memory, and nothing is held. */
struct pin_hold *pins_hold(struct pins *pins, const struct content_set *set);
struct pin_hold *pins_let_go(struct pins *pins, struct pin_hold *hold); /* NULL is fine */
