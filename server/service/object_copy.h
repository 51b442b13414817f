/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "server/service/object_check.h"

struct blob_store;
struct buf;
struct database;
struct error;

/*
 * object_copy - the objects of a database from one store to another: for backups, and back.
 *
 * `rows` is the copy of the database that belongs to `to`; nobody else uses it. Each blob of it is
 * read and held against its row (object_check.h) before it is copied, with its merkle object; what
 * is made when somebody asks (KEY.c, KEY.n) is not copied. One that is in `to` already, as long as
 * it should be, is not looked at: keys are not used twice. Records of versions go with them. All
 * that was copied is durable when object_copy_run() returns 0.
 *
 * A blob that `from` has lost becomes missing or corrupt in `rows`, so that a push heals it there,
 * and counts as damaged. One that `from` fails to read is missing in `rows`, too, and counts as
 * unreadable: the next copy may get it. Both are named in `lacking`, and the others are copied all
 * the same. A `from` without its sentinel, or that cannot be listed, and any failure of `to` or
 * `rows` end it.
 */
struct object_copy {
    struct blob_store *from, *to;
    struct database *rows;
    object_check_go_on *go_on; /* called between pieces; what it returns below 0 ends it */
    void *context;

    uint64_t objects; /* in `to` of what `rows` knows */
    uint64_t copied_objects, copied_bytes;
    uint64_t damaged;    /* blobs */
    uint64_t unreadable; /* objects */
    struct buf *lacking; /* "missing: KEY": JSON texts with commas between, the first thousand */
    size_t lacking_count;
    uint64_t removed_objects;
};

int object_copy_run(struct object_copy *self, struct error *err);

/* Removes from `to` what `rows` does not know, and records that `from` has no more. */
int object_copy_prune(struct object_copy *self, struct error *err);
