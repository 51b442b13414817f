/* SPDX-License-Identifier: MIT */
#pragma once

#include "server/db/blobs.h"

struct error;
struct object;
struct refusal;
struct services;

/*
 * blob_fact - where a blob's bytes are. A row's key changes only when the blob had to be healed.
 * The process that heals it forgets the fact (deposit.c); another one asks again when opening the
 * old object fails, and serves what it has open until then.
 */

/* The blob of that digest that the version holds. Blocks. -ENOENT with REFUSAL_NOT_FOUND. */
int blob_fact_get(struct services *services, int64_t version_id, const struct digest *sha256,
                  struct blob *out, struct refusal *why, struct error *err);
/* -EAGAIN: not known. Says nothing about who may have it. Never blocks. */
int blob_fact_cached(struct services *services, const struct digest *sha256, struct blob *out,
                     struct error *err);
void blob_fact_forget(struct services *services, const struct digest *sha256);

/* Its object, of the right size; otherwise blob_object_failed(). */
int blob_object_open(struct services *services, const struct blob *blob, struct object **out,
                     struct refusal *why, struct error *err);

/* The object of a blob failed with `failure`: reports the blob when the bytes are gone or wrong,
 * and returns -EIO, or the failure itself when it may pass (-EAGAIN, -ENOMEM), with
 * REFUSAL_STORAGE. */
int blob_object_failed(struct services *services, const struct blob *blob, int failure,
                       struct refusal *why, struct error *err);
