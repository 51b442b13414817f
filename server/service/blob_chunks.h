/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

#include "common/model/chunk_list.h"
#include "server/db/blobs.h"
#include "server/service/scratch.h"

struct error;
struct object;
struct refusal;
struct services;

/*
 * blob_chunks - the chunk list of a blob (chunk_list.h), made once.
 *
 * It lies in the store beside the blob, under KEY.c, and goes with it: the first who asks makes
 * it. Most blobs are never one end of a delta, so a push does not pay for it. One that is lost,
 * breaks a rule, or speaks of another blob is made again; a store that takes nothing (full,
 * read-only, another thread at the same list) costs the making each time, not the answer.
 *
 * Its hashes are quick ones and prove nothing: who has a delta made by it verifies what it makes.
 */
struct blob_chunks {
    struct chunk_list list;
    struct object *object;  /* where the bytes are: the stored object, or NULL and ... */
    struct scratch scratch; /* ... these, which the store did not take */
};

/* From 64 KiB to 64 GiB. */
bool blob_chunks_possible(const struct blob *blob);

/* Of a blob for which it is possible. Blocks, for the length of reading the blob when it has to be
 * made. A zeroed struct is an empty one. */
int blob_chunks_open(struct services *services, const struct blob *blob, struct blob_chunks *out,
                     struct refusal *why, struct error *err);
/* Only if it is there and keeps the rules; else -ENOENT or another failure. */
int blob_chunks_find(struct services *services, const struct blob *blob, struct blob_chunks *out,
                     struct error *err);
void blob_chunks_release(struct blob_chunks *chunks);

/* It led to something wrong: made again when it is asked for next. */
void blob_chunks_forget(struct services *services, const struct blob *blob);

/* The key of the list beside the object under `key`, into out[strlen(key) + 3]. */
void blob_chunks_key(const char *key, char *out);
