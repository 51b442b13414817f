/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "fs/tree_mount/tree_mount.h"

struct blob_fetch;
struct http_loop;

/*
 * siblings - small files of a directory that is being read, fetched together.
 *
 * The first small file that is not in the cache is asked for alone. The second of the same
 * directory brings those behind it along, in one request that its reader waits for; then four times
 * as many, up to SIBLINGS_MAX or SIBLINGS_BYTES. A directory has one such request at a time. Those
 * in which something was read last are remembered. When such a request fails there is none for a
 * minute.
 */
struct siblings;

#define SIBLING_SIZE ((uint64_t)64 * 1024)
#define SIBLINGS_BYTES ((uint64_t)1024 * 1024)
#define SIBLINGS_MAX 256

struct siblings *siblings_new(struct http_loop *loop, struct blob_fetch *engine); /* or NULL */
/* After the engine. NULL is fine; returns NULL. */
struct siblings *siblings_free(struct siblings *siblings);

/* A file is about to be asked for. Any thread; before the reader is told to. */
void siblings_cold(struct siblings *siblings, struct tree_mount *mount, uint64_t index,
                   const struct tree_node *node);
