/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "server/db/blobs.h"

struct blob_store;
struct error;

/*
 * object_check - whether the store has what a blob's row says.
 *
 * Not `whole`: the object is there and as long as it should be, and so is its merkle object (blobs
 * of more than a piece have one). `whole`: also its bytes are read and give the SHA-256 and the
 * verity digest of the row, and the merkle object is the one that they give. `go_on` is called
 * between pieces; what it returns below 0 ends the check.
 */
enum object_verdict {
    OBJECT_RIGHT,
    OBJECT_MISSING,
    OBJECT_WRONG,
    OBJECT_UNREADABLE, /* the store fails at this one: others may be fine, and it may be, too */
};

typedef int object_check_go_on(void *context, struct error *err);

/* 0 and the verdict. Negative: it cannot be known now (the store is away, memory is out), or go_on
 * said so. */
int object_check(struct blob_store *store, const struct blob *blob, bool whole,
                 object_check_go_on *go_on, void *context, enum object_verdict *out,
                 struct error *err);

/* Of a failure of a store at one object: whether that may say nothing of the next one (a bad
 * sector), as long as the store shows its sentinel. */
bool object_is_unreadable(int result);

/* What an object's bytes give, when nothing is known of them. OBJECT_WRONG: it needs a merkle
 * object, and that is another or not there. */
int object_measure(struct blob_store *store, const char *key, uint64_t size,
                   object_check_go_on *go_on, void *context, struct blob *out_blob,
                   enum object_verdict *out, struct error *err);

/* The key of the row that an object belongs to; false: it belongs to none (it is a record, or a
 * stranger). */
bool object_row_key(const char *name, char out[BLOB_STORAGE_KEY_SIZE]);
