/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/codec/digest.h"
#include "common/model/merkle.h"
#include "common/model/stream.h"

struct entry;
struct error;

/*
 * tree_builder - the tree image of a listing, its times, and the files' verity
 * digests: a function of these three alone.
 *
 * Two passes over the listing (in memory or a mapping). The first, tree_plan_make(),
 * checks everything and tells how large the image will be; the second,
 * tree_plan_write(), fills memory of the caller: a block of the heap, or a shared
 * mapping of a new file. Besides the image it takes 32 bytes a file while it sorts.
 *
 * -EBADMSG: a listing or times that break a rule, "offset N: rule"; -EINVAL:
 * equal sha256 with different sizes or verity digests; or what `verity` returned.
 */
struct tree_plan {
    struct digest content, times_sha256;
    uint64_t image_size;
    uint32_t record_count, file_count;
    uint64_t bytes;
    uint64_t names_size, targets_size;
    uint32_t depth_records[256]; /* how many records stand at a depth; 0 is the root */
    uint32_t depth_files[256];
    uint64_t depth_names[256], depth_targets[256]; /* bytes */
};

int tree_plan_make(struct span listing, struct span times, struct tree_plan *out,
                   struct error *err);

/* Gives the verity digest of the index-th f entry of the listing; called once for each, in
 * order. */
typedef int tree_verity_function(void *context, uint64_t file_index, const struct entry *entry,
                                 struct digest *out_verity, struct error *err);

/* image: plan->image_size bytes, all zero, aligned to 8. listing and times as they were planned. */
int tree_plan_write(const struct tree_plan *plan, struct span listing, struct span times,
                    tree_verity_function *verity, void *context, uint8_t *image, struct error *err);

/* Plan, write into the heap, pass on to the sink, and tell the image's verity digest and size. */
int tree_build(struct span listing, struct span times, tree_verity_function *verity, void *context,
               struct sink sink, struct digest *out_verity, uint64_t *out_size, struct error *err);
