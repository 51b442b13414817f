/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "common/base/span.h"
#include "common/codec/digest.h"
#include "server/db/pushes.h"
#include "server/service/access.h"

/* push_tree - the tree image of a push whose blobs are all there: built, stored, held. */
struct push_tree {
    struct digest content, times;
    struct digest tree; /* verity digest of the image */
    uint64_t tree_size, file_count, bytes;
};

/* `present`: as many blobs as the push holds. -EINVAL with REFUSAL_VALIDATION: listing and times do
 * not fit each other. -EBUSY with REFUSAL_MISSING_BLOBS: a file's blob is not there (any more). */
int push_tree_make(struct services *services, const struct identity *identity,
                   const struct push *push, struct span listing, struct span times,
                   uint64_t present, struct push_tree *out, struct refusal *why, struct error *err);
