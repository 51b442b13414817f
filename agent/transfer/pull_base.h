/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/transfer/pull_fetch.h"

struct directory;
struct error;
struct pull_plan;
struct stat_cache;
struct tree;

/*
 * pull_base - what DEST holds where a large blob is to stand, as the base of a delta.
 *
 * It is the file at the same path, when the stat cache knows its bytes and its stamp
 * is what it was. That is a guess only: a file that was changed behind its stamp gives
 * a delta whose result has another digest, and the blob comes whole.
 */
#define PULL_BASE_BLOB_MIN (((uint64_t)256 << 10) + 1) /* smaller ones come in packs */

struct pull_base {
    char *path;    /* of the version, and of DEST when there is a base */
    bool is_known; /* what follows is set: there is a base */
    struct digest sha256;
    uint64_t size, stamp;
};

struct pull_base_options {
    struct directory *dest;
    const struct pull_plan *plan;
    const struct tree *tree;  /* the version's, whole */
    struct stat_cache *cache; /* what DEST holds; may be NULL */
};

/* Gives each large blob that is not here its base. `blobs` are sorted by digest, as the plan's
 * writes are. -ENOMEM; what was given till then is released with the rest. */
int pull_base_find(const struct pull_base_options *options, struct pull_blob *blobs, size_t count,
                   struct error *err);
void pull_base_release(struct pull_blob *blobs, size_t count);
