/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

struct blob_store;
struct database;
struct error;

/*
 * rebuild - a database made again from its store, when it is lost.
 *
 * Every object is read and gets a row under its key when its bytes prove to be right: by its merkle
 * object, by a version that needs just them, or by the key, which begins with its digest. Then the
 * records (record_store.h): names of purged versions stay spent; a version comes back when its
 * record keeps all rules and listing, times, tree and all blobs are there. Of one that is not
 * complete the name is spent on its content, so that a push of the same heals it. Nothing becomes a
 * candidate of the collection. What only the database knew (tokens, channels, pins, the trash, the
 * audit log ...) is gone.
 *
 * The database is new and nobody else uses it; the store is only read, also while it is walked: a
 * backend whose walk holds a lock will not do.
 */
enum rebuild_found {
    REBUILD_DAMAGED,    /* an object, by its key */
    REBUILD_RECORD,     /* a record that breaks a rule, by its key */
    REBUILD_INCOMPLETE, /* a version: P/A/V */
};

/* Of each thing that is not right; `why` in words. */
typedef void rebuild_tell(void *context, enum rebuild_found kind, const char *name,
                          const char *why);

struct rebuild {
    struct database *database;
    struct blob_store *store;
    rebuild_tell *tell;
    void *context;
};

struct rebuild_result {
    uint64_t objects, bytes; /* that were read: blobs */
    uint64_t blobs;          /* that have a row */
    uint64_t duplicates;     /* objects of the same bytes as another: without a row */
    uint64_t damaged;
    uint64_t versions, incomplete, purged, wrong_records;
};

int rebuild_run(const struct rebuild *rebuild, struct rebuild_result *out, struct error *err);
