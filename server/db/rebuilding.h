/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "server/db/blobs.h"
#include "server/db/purge.h"
#include "server/db/versions.h"

/*
 * rebuilding - rows made again from what a store holds, in a database that has none.
 *
 * Between rebuilding_begin() and rebuilding_end(), in this order: blobs, purged names, versions.
 * Nobody else uses the database meanwhile. Nothing becomes a candidate of the collection: what no
 * version refers to stays until somebody has looked.
 */

/* It belongs to that store from now on. -EEXIST: something was ever stored with it. */
int rebuilding_begin(struct database *database, const char *store_id, struct error *err);

/* Rows of objects whose bytes give these digests, live; id and state are not looked at. *out_count:
 * how many are new; the others have bytes that another object has too. */
#define REBUILDING_BATCH 500
int rebuilding_blobs(struct database *database, const struct blob *blobs, size_t count,
                     size_t *out_count, struct error *err);

/* Its name is spent, and its version does not come back; nor does an app or a project of which
 * nothing but such names is left. `id` is not looked at. */
int rebuilding_purged(struct database *database, const struct purged_record *record,
                      struct error *err);

/* The blob of that verity digest and size: a tree image. -ENOENT. */
int rebuilding_find(struct database *database, const struct digest *verity, uint64_t size,
                    struct blob *out, struct error *err);

struct rebuilding_version {
    const struct version *version; /* names, digests, numbers, created_at_s, texts */
    size_t file_count; /* as many as `file` tells of; the same blob may be in it twice */
    void (*file)(void *context, size_t index, struct digest *out_sha256, struct digest *out_verity);
    void *context;
    int64_t tree_blob_id; /* 0: it is lost, and nothing is known of the files */
};

/* The version with its edges when all of its blobs are there (*out_missing 0); else only its name
 * is spent, so that nothing but the same content takes it. -EEXIST: it is there, or the name is
 * spent on another content. */
int rebuilding_version(struct database *database, const struct rebuilding_version *wanted,
                       uint64_t *out_missing, struct error *err);

/* Forgets a blob that no version refers to, is small enough to have no merkle object, and does not
 * give the digest that its key was made of: only its bytes could say that it is right. 1 and the
 * blob; 0: there is none behind `after`. */
int rebuilding_doubtful(struct database *database, int64_t after, struct blob *out,
                        struct error *err);

int rebuilding_end(struct database *database, struct error *err);
