/* SPDX-License-Identifier: MIT */
#pragma once

/* A tree of random shape as listing, times and image, for the tests of tree and tree_builder. */
#include <stdint.h>

#include "common/base/buf.h"
#include "common/codec/digest.h"

struct sample_tree {
    struct buf listing, times, image;
    struct digest content, times_sha256, verity;
    uint64_t count, file_count;
};

/* seed 0: the tree of the format's vectors; else random, of up to `count` entries. */
void sample_tree_make(struct sample_tree *sample, uint32_t seed, uint32_t count);
void sample_tree_release(struct sample_tree *sample);
