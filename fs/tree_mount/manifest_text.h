/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "common/codec/digest.h"

struct buf;
struct entry;
struct error;
struct record;
struct tree;

/*
 * manifest_text - meta.yaml in pieces, and its size before a digest is known.
 *
 * The same bytes as meta_yaml_write() makes of a whole image (a test holds them together), for a
 * tree whose digests come from elsewhere, or later.
 */

/* The record and, when there are entries, `files:`. Failure sticks in the buf. */
void manifest_text_head(struct buf *out, const struct record *record, const struct tree *tree);
/* One entry; sha256 is in it, verity only looked at for files. */
void manifest_text_entry(struct buf *out, const struct entry *entry, const struct digest *verity);

/* Of a names part. -ENOMEM. */
int manifest_text_size(const struct record *record, const struct tree *tree, uint64_t *out_size,
                       struct error *err);
