/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/codec/digest.h"

struct blob_cache;
struct error;
struct tree;

/*
 * content_set - what a version consists of: its tree image, and each content of its files once.
 *
 * Made of the whole tree image. 24 bytes a content, sorted by the first eight bytes of its SHA-256;
 * contents that begin alike are all there. Files without bytes are not. Not changed once made; any
 * thread.
 */
struct content_item {
    uint64_t mark; /* of the SHA-256 */
    uint64_t size;
    uint32_t index; /* of the first such file in the tree's digests */
};

struct content_set {
    struct digest tree; /* verity digest of the image */
    uint64_t tree_size;
    uint64_t bytes; /* of all contents */
    size_t count;
    struct content_item *items;
};

uint64_t content_mark(const struct digest *name);

/* -ENOMEM. The tree must be whole. */
int content_set_new(const struct tree *tree, const struct digest *tree_digest,
                    struct content_set **out_set, struct error *err);
/* The same from the image in the cache; -EAGAIN: it is not (all) there. */
int content_set_load(struct blob_cache *cache, const struct digest *tree_digest, uint64_t tree_size,
                     struct content_set **out_set, struct error *err);
struct content_set *content_set_free(struct content_set *set); /* NULL is fine; returns NULL */

/* Whether the name is one of them, or begins like one of them (once in 2^64 by chance). */
bool content_set_has(const struct content_set *set, const struct digest *name);

/* What sets take together, each content once. -ENOMEM. */
int content_sets_bytes(const struct content_set *const *sets, size_t count, uint64_t *out_bytes,
                       struct error *err);
