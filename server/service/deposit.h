/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "common/base/span.h"
#include "common/codec/digest.h"
#include "server/db/push_blobs.h"

struct blob_writer;
struct error;
struct merkle_shape;
struct services;

/*
 * deposit - bytes become a live blob of a push: the object, its merkle object beside it (of more
 * than one piece: blobs.h), and only then the row.
 *
 * Every step can be done again by another process: objects under the row's own key are
 * either unfinished (gone on with) or whole (used as they are).
 */

/* A writer at exactly `offset` of an object that is not readable yet. What stands behind is cut
 * off. -EEXIST  the object is finished already: deposit_finish() it -EBUSY   another process has it
 * open -ESTALE  the store has fewer than `offset` bytes of it: start again at 0 */
int deposit_writer(struct services *services, const struct blob *blob, uint64_t offset,
                   struct blob_writer **out_writer, struct error *err);

/* Commits a full writer together with its merkle object, which is in memory (empty: the blob needs
 * none), and makes the blob live. Ends the writer, also on failure. */
int deposit_commit(struct services *services, int64_t push_number, const struct blob *blob,
                   struct blob_writer *writer, struct span merkle, const struct digest *verity,
                   struct error *err);

/* The data object is whole and readable, or can be committed now (writer not NULL: it is ended):
 * reads it back for the merkle object, checks the SHA-256, and makes the blob live. -EBADMSG: other
 * bytes; the object is gone then. */
int deposit_finish(struct services *services, int64_t push_number, const struct blob *blob,
                   struct blob_writer *writer, struct error *err);

/* The merkle object of a blob whose data object is whole: made again, after its SHA-256 was checked
 * (-EBADMSG). *out_verity may be NULL. */
int deposit_merkle(struct services *services, const struct blob *blob, struct digest *out_verity,
                   struct error *err);

/* push_blobs_done() of objects that are whole: done[i] has the bytes of blobs[i]. */
int deposit_done(struct services *services, int64_t push_number, const struct blob *blobs,
                 const struct blob_done *done, size_t count, struct error *err);

/* Takes away what has no row any more. The bytes of a request come as slowly as its client likes:
 * the push may end meanwhile, and the tombstone of the row be worked off before the object is made,
 * which would stay for ever then. A key is never another's, so nobody can miss it. */
void deposit_forsake(struct services *services, const struct blob *blob);

/* All of it for bytes that are here: wants the blob for the push, stores it unless it is held,
 * makes it live. */
int deposit_bytes(struct services *services, int64_t push_number, const struct blob_scope *scope,
                  const struct digest *sha256, struct span bytes, struct error *err);
