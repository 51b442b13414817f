/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

struct error;
struct known_version;
struct record;
struct tree;
struct tree_fetch;

/*
 * manifest - the bytes of a version's meta.yaml.
 *
 * How many there are follows from the record and the names part alone, since digests
 * have one length. The bytes need the digests; they are made once, when first read, into a
 * file without a name in the cache's directory, or in memory where no file can be made.
 */
struct manifest;

/* record is handed over (also on failure). directory: where the file is made; NULL: in memory. */
int manifest_new(struct manifest **out_manifest, struct record *record, const struct tree *tree,
                 const char *directory, struct error *err);
struct manifest *manifest_free(struct manifest *manifest); /* NULL is fine; returns NULL */

uint64_t manifest_size(const struct manifest *manifest);
int64_t manifest_mtime(const struct manifest *manifest); /* when the version was made; 0 unknown */

/* [offset, offset + size) within it. The tree must be complete (tree_fetch_complete). Works and
 * writes: on a worker. -EAGAIN: a digest is not there after all. Any thread. */
int manifest_read(struct manifest *manifest, struct tree_fetch *fetch, const struct tree *tree,
                  uint64_t offset, void *out, size_t size, struct error *err);

/* What can be said of a version when its record is not to be had: a record for manifest_new, to be
 * released by the caller otherwise. */
int manifest_record_of_facts(const char *project, const char *app, const char *version,
                             const struct known_version *facts, struct record *out,
                             struct error *err);
