/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "fs/tree_mount/manifest.h"
#include "fs/tree_mount/tree_view.h"

struct http_loop;
struct read_log;
struct tree_fetch;

/*
 * tree_mount - one open version: its tree in memory, what is shown of it, its manifest, and
 * a log of its first reads.
 *
 * Counted; references are taken and given back on any thread, the last one given back
 * closes it on the loop's.
 */
struct tree_mount;

/* fetch: a reference, handed over; record: handed over. Both also on failure. Loop thread. The loop
 * outlives it. */
int tree_mount_new(struct tree_mount **out_mount, struct http_loop *loop, struct tree_fetch *fetch,
                   struct record *record, const char *directory, struct error *err);
struct tree_mount *tree_mount_ref(struct tree_mount *mount);
struct tree_mount *tree_mount_unref(struct tree_mount *mount); /* NULL is fine; returns NULL */

const struct tree_view *tree_mount_view(const struct tree_mount *mount);
struct tree_fetch *tree_mount_fetch(const struct tree_mount *mount);
struct manifest *tree_mount_manifest(const struct tree_mount *mount);
/* Where its reads are noted; lives as long as it. */
struct read_log *tree_mount_reads(const struct tree_mount *mount);
/* What it keeps in memory. */
uint64_t tree_mount_bytes(const struct tree_mount *mount);
