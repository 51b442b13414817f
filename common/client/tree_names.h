/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "common/client/blob_fetch.h"

struct buf;
struct tree_names;

/*
 * tree_names - the names part of a tree image, over the wire: zstd and merkle levels side by side.
 *
 * Both are asked for at once; the names part is unpacked as it arrives, then verified against the
 * image's verity digest: whole pieces by the levels, the last part of a piece by its bottom block.
 * Whole pieces go into the cache. When anything of this is wrong, the same bytes are read through
 * the engine, which knows other servers.
 *
 * *out must be empty, with the image's size as its maximum; it is the names part when done gets 0.
 * For images larger than one piece. Loop thread; free only from `done` or after it.
 */
int tree_names_start(struct tree_names **out_fetch, struct blob_fetch *engine,
                     struct blob_object *image, struct buf *out, uint64_t deadline_ms,
                     blob_read_done *done, void *context, struct error *err);
struct tree_names *tree_names_free(struct tree_names *fetch); /* NULL is fine; returns NULL */
