/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/model/tree.h"

/*
 * tree_view - one version as directories and files: its tree, and its manifest.
 *
 * An index is a record of the tree; behind the last record stand three more:
 *     n       .kkartifact, a directory at the top
 *     n + 1   .kkartifact/meta.yaml
 *     n + 2   meta.yaml at the top, shown when the tree has none there
 * Plain data over a tree image's names part, which outlives it. Any thread.
 */
struct tree_view {
    struct tree tree;
    uint64_t manifest_size;
    int64_t manifest_mtime;
    uint32_t count; /* of indices */
};

struct tree_node {
    enum entry_kind kind;
    bool is_manifest; /* a file whose bytes are the manifest's */
    uint32_t mode;    /* permission bits; links 0777 */
    uint32_t link_count;
    uint32_t parent;
    uint64_t size;
    int64_t mtime;
    uint32_t digest_index; /* of a file that is not the manifest */
    struct span target;    /* of a link */
};

struct tree_view tree_view_of(const struct tree *tree, uint64_t manifest_size,
                              int64_t manifest_mtime);

/* -ENOENT: no such index. */
int tree_view_node(const struct tree_view *view, uint64_t index, struct tree_node *out);

/* -ENOENT, -ENOTDIR. */
int tree_view_find(const struct tree_view *view, uint64_t parent, struct span name,
                   uint64_t *out_index);

/* The children of a directory by position, 0 the first; false behind the last, and for what is no
 * directory. The name is not terminated. */
bool tree_view_child(const struct tree_view *view, uint64_t directory, uint64_t position,
                     uint64_t *out_index, struct span *out_name);
