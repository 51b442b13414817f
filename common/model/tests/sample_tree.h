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
/* The tree of these entries, in their order: a directory's path ends in '/'; of two files with one
 * `content` the bytes are the same (and the sizes have to be). */
struct sample_entry {
    const char *path;
    uint64_t size;
    uint32_t content;
};
void sample_tree_make_of(struct sample_tree *sample, const struct sample_entry *entries,
                         size_t count);
void sample_tree_release(struct sample_tree *sample);
