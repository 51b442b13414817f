/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "common/base/buf.h"

struct blob_store;
struct error;
struct services;

/*
 * backup - a second data directory, of the same store, made while this one serves.
 *
 * A job of the kind `backup`, done by this process alone (jobs.h), in the lane of what deletes, so
 * that nothing goes that the snapshot refers to. First the database as it stands now, beside the
 * one that the backup has; then the objects (object_copy.h), made durable; then the new database
 * takes the place of the old one; then goes what it does not know. Whenever it ends before its end,
 * the old one and all that it needs is still there. Pushes that were open are ended in the copy.
 *
 * An object that cannot be read keeps none of the others out (object_copy.h): the backup is made,
 * and whoever asked for it says that it lacks something.
 *
 * The result is {"objects", "copied_objects", "copied_bytes", "removed_objects", "damaged",
 * "unreadable", "lacking": ["unreadable: KEY", ...]}, the last one bounded.
 */
struct backup_target {
    const char *directory;    /* of the database; nobody else uses it */
    struct blob_store *store; /* of the same id */
};

struct backup_result {
    uint64_t objects, copied_objects, copied_bytes, removed_objects;
    uint64_t damaged;    /* blobs that are missing or corrupt, and so in the backup too */
    uint64_t unreadable; /* objects that could not be read now, and are not in the backup */
    struct buf lacking;  /* the names of both: JSON texts with commas between */
};

void backup_result_init(struct backup_result *result);
void backup_result_release(struct backup_result *result); /* for cleanup() */

struct object_copy;
void backup_result_fill(struct backup_result *result, const struct object_copy *copy);

/* `out` is init'ed by the caller. 0 also when something lacks. -EBUSY: something that deletes is
 * running; nothing was begun. */
int backup_make(struct services *services, const struct backup_target *target,
                struct backup_result *out, struct error *err);

struct json_writer;
void backup_write(struct json_writer *writer, const struct backup_result *result);

/* For people: what lacks, a line each. */
void backup_write_lacking(struct buf *out, const struct backup_result *result);
/* 0, or -EIO when something lacks: "WHAT lacks 1 blobs that ..." */
int backup_outcome(const struct backup_result *result, const char *what, struct error *err);
