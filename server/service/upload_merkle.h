/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "common/base/span.h"
#include "common/codec/digest.h"

struct error;
struct services;

/*
 * upload_merkle - the merkle tree of a blob that is on its way in, made as the bytes pass.
 *
 * Of a blob in several parts it is kept from one part to the next, in this process, under the
 * object's key, which no other object ever has. That is a convenience and no promise: the next
 * part may come to another server, or after a restart, or when too many others are kept; then the
 * blob is read back at its end instead (deposit.h). A tree belongs to one thread at a time.
 *
 * A wrong tree would make its blob unreadable for everybody, and its bytes would look right. So
 * with the tree the state of SHA-256 is kept that it stood beside, and it goes on only where the
 * row has the very same: then both have seen the same bytes.
 *
 * The object lies in a scratch file that grows with the bytes that came, one for 128 of them: what
 * somebody only announces costs nothing.
 */
#define UPLOAD_MERKLE_MAX ((uint64_t)64 << 30) /* larger blobs are always read back */
#define UPLOAD_MERKLES_KEPT 32
#define UPLOAD_MERKLES_KEPT_MS 3600000 /* its push is over, or slow enough to be read back */

struct upload_merkle;

/* Of a blob of `size` bytes; nothing is added yet. -EFBIG. */
int upload_merkle_new(struct services *services, uint64_t size, struct upload_merkle **out,
                      struct error *err);
int upload_merkle_add(struct upload_merkle *merkle, struct span bytes, struct error *err);
/* All bytes came: the object, in a block of its own (empty: the blob has none), living as long as
 * the tree. */
int upload_merkle_end(struct upload_merkle *merkle, struct span *out_object,
                      struct digest *out_verity, struct error *err);
struct upload_merkle *upload_merkle_free(struct upload_merkle *merkle); /* NULL is fine */

/* Takes the tree (NULL is fine) until somebody takes it back; one of the same key goes.
 * hash: of all that was added. */
void upload_merkle_keep(struct services *services, const char *key, struct upload_merkle *merkle,
                        const uint8_t hash[DIGEST_SAVED_SIZE]);
/* The tree of that key, when it was kept with this state; or NULL. Any other goes. */
struct upload_merkle *upload_merkle_take(struct services *services, const char *key,
                                         const uint8_t hash[DIGEST_SAVED_SIZE]);
/* Those that were kept, when the services end. */
void upload_merkles_release(struct services *services);
