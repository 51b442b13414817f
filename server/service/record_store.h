/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

struct blob_store;
struct error;
struct purged_record;
struct record;
struct services;
struct version;

/*
 * record_store - the version records in the blob store: what a lost database is made from again,
 * together with the listings, times and blobs that they name.
 *
 * An object per version, its canonical record, under the key `<32 hex digits>.r`: the first 16
 * bytes of SHA-256("kkartifact-record-key-1" NUL project NUL app NUL version NUL, content (32
 * bytes), i64 created_at, little-endian). So the key of a version is known without a search, and a
 * name that is purged and pushed again later has another one: keys are not used twice.
 *
 * The record is written after the commit: one that a crash swallowed is written by whoever sees the
 * version next (a push that `exists`, or the job that walks all versions). It is never there before
 * the version is. What changes later (labels, pins, notes, channels, the trash) is in the database
 * alone.
 */
#define RECORD_KEY_SIZE 35 /* with the NUL */
#define RECORD_PURGED_SCHEMA "kkartifact-purged-1"

void record_key(const struct record *record, char out[RECORD_KEY_SIZE]);

/* What an object is, by its name. */
enum record_object { RECORD_NONE, RECORD_VERSION, RECORD_PURGED };
enum record_object record_object_of(const char *name);

/* The record under that name, all of whose rules hold, the key's too; else -EBADMSG. `out` is
 * init'ed by the caller. */
int record_store_read(struct blob_store *store, const char *name, struct record *out,
                      struct error *err);

/* The same of what says that a version was purged; `id` is not set. */
int record_store_read_purged(struct blob_store *store, const char *name, struct purged_record *out,
                             struct error *err);

/* Stores the record of a version unless it is there. */
int record_store_ensure(struct services *services, const struct version *version,
                        struct error *err);

/* Versions that were purged: an object under `<the same 32 hex digits>.d` says so, then the record
 * goes. A version whose `.d` is there stays away when the database is made again. *out_count of
 * them. Again at the next call what a crash or a failure left. */
int record_store_tell_purged(struct services *services, size_t *out_count, struct error *err);

/* All versions, a page at a time; *out_count of records that were missing and are written now. */
int record_store_complete(struct services *services, size_t *out_count, struct error *err);
