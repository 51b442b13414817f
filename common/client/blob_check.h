/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/client/blob_cache.h"
#include "common/codec/digest.h"

struct error;

/*
 * blob_check - complete objects of a cache, hashed again: for a scrubber, and for whoever wants to
 * know.
 *
 * An object is hashed whole and held against its name, as it is on the disk: where the system lets
 * us, past the page cache, so that what is read is what would be read after the next boot, and no
 * reader's pages are pushed out. One that is wrong, or cannot be read, is set aside: it is renamed
 * into DIR/bad and forgotten, so that who wants it next has it fetched again. DIR/bad holds the
 * newest BLOB_BAD_MAX of them and BLOB_BAD_BYTES at most; of a larger one only the name is left.
 *
 * Other processes that share the cache learn of it by the names in DIR/bad (blob_cache_look_aside).
 *
 * Any thread; no lock is held while the disk works.
 */
#define BLOB_BAD_MAX 16
#define BLOB_BAD_BYTES (64ull * 1024 * 1024)

struct blob_check {
    /* Called before each step of so many bytes; waits as long as is right. True: end it. May be
     * NULL. */
    bool (*step)(void *context, size_t size);
    void *context;
};

/* 0: it is right. -EBADMSG: it was wrong (or could not be read), and is set aside; -ENOENT: there
 * is no such object (any more); -ECANCELED; -ENOMEM, -EMFILE and so on: nothing can be said.
 * *out_size may be NULL: what was hashed. */
int blob_cache_check(struct blob_cache *cache, enum blob_kind kind, const struct digest *name,
                     const struct blob_check *how, uint64_t *out_size, struct error *err);

/* The names of complete objects that begin with that byte, in order; memory_free() them. An object
 * that is being completed may be missing. A folder that is not there has none. */
int blob_cache_names(struct blob_cache *cache, enum blob_kind kind, uint8_t first,
                     struct digest **out_names, size_t *out_count, struct error *err);

/* Forgets what was believed of objects that stand in DIR/bad and that somebody has set aside since
 * the last look. */
void blob_cache_look_aside(struct blob_cache *cache);
