/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/model/chunk_list.h"
#include "common/model/delta.h"
#include "common/model/merkle.h"

/*
 * delta_plan - which ranges of a target are in a base, before a byte of them is read.
 *
 * Made from two chunk lists (what moved is found wherever it stands in the base) or
 * from two merkle trees (changes in place, block by block). The ranges follow each
 * other from the target's beginning to its end, copies that continue each other as
 * one. A literal range between two copies names the bytes of the base between their
 * sources, when there are any and not far more than it has itself: what was changed
 * in place resembles them, and goes as a patch (coding 2).
 *
 * A plan is a proposal. Chunk lists may lie, and XXH3-128 is no proof: whoever can
 * choose bytes can make two chunks with one hash. The delta is then wrong, its result
 * fails its SHA-256, and the target is sent whole. Nothing worse comes of it.
 */
struct delta_range {
    uint64_t offset, length; /* in the target; length >= 1 */
    bool copy;
    uint64_t base_offset; /* a copy's source; a literal's likeness */
    uint64_t base_length; /* a copy's is `length`; 0: a literal without likeness */
};

struct delta_plan {
    struct delta_range *ranges;
    size_t count, capacity;
    uint64_t base_size, target_size;
    uint64_t literal_bytes; /* not found in the base */
};

void delta_plan_release(struct delta_plan *plan);

/* Of equal chunks the one that continues the copy before is taken, or one a little behind, else the
 * base's first. Memory: about ten bytes a chunk of the base while it works, forty a range.
 * -ENOMEM. */
int delta_plan_of_lists(const struct chunk_list *base, const struct chunk_list *target,
                        struct delta_plan *out, struct error *err);

/* Objects as merkle.h has them; sizes must fit the shapes (-EINVAL). Below equal blocks nothing is
 * looked at: of the base's bottom only the blocks that delta_plan_bottoms() names need be there,
 * the others may be anything. */
int delta_plan_of_trees(const struct merkle_shape *base, struct span base_object,
                        const struct merkle_shape *target, struct span target_object,
                        struct delta_plan *out, struct error *err);

/* Calls the function for each bottom block of the base that differs, in order, from what stands
 * above the bottoms. What it returns (not 0) ends the walk. */
typedef int delta_plan_bottom(void *context, uint64_t piece, struct error *err);
int delta_plan_bottoms(const struct merkle_shape *base, struct span base_upper,
                       const struct merkle_shape *target, struct span target_upper,
                       delta_plan_bottom *function, void *context, struct error *err);

/* Writes the plan's frames, without the end: literals are read from the target, likenesses from the
 * base. The writer is for the same two sizes. Memory: up to 16 MiB beside the writer's. For two of
 * up to DELTA_PATCH_MAX bytes a single delta_writer_patch() of all may be smaller. */
int delta_plan_write(const struct delta_plan *plan, struct delta_source base,
                     struct delta_source target, struct delta_writer *writer, struct error *err);
