/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/codec/digest.h"

struct error;
struct http_loop;
struct http_post;

/*
 * hash_behind - the SHA-256 of a large file, made on a thread while the file is written.
 *
 * The thread reads what stands in the file, behind the writer, and has it written out to the disk
 * on the way, so that the sync at the end is short. Receiving, hashing and the disk then take the
 * time of the longest of them. The bytes that were told must stay as they are.
 *
 *     hash_behind_new -> hash_behind_moved ... -> hash_behind_end -> hash_behind_free
 */
#define HASH_BEHIND_MIN ((uint64_t)4 << 20) /* smaller files are not worth a thread */

struct hash_behind;

/* Whether there is a second processor for it. */
bool hash_behind_pays(uint64_t size);

/* fd: for reading; outlives it. */
int hash_behind_new(int fd, struct hash_behind **out_hash, struct error *err);
/* At any time; what is not hashed yet is dropped. NULL is fine; returns NULL. */
struct hash_behind *hash_behind_free(struct hash_behind *hash);

/* What is not hashed yet need not be any more: the post runs soon. NULL is fine. */
void hash_behind_drop(struct hash_behind *hash);

/* The first `end` bytes stand in the file: no fewer than the last time. One thread. */
void hash_behind_moved(struct hash_behind *hash, uint64_t end);

/* No more come. post: runs at the loop once all is hashed, could not be read, or was dropped;
 * hash_behind_end() does not wait then. It runs in any case, and before it has the hash must not be
 * freed. */
void hash_behind_close(struct hash_behind *hash, struct http_loop *loop, struct http_post *post);
/* The digest of what was told, when it is there. -EIO: the file is shorter; -ECANCELED: it was
 * dropped; what reading gives. */
int hash_behind_end(struct hash_behind *hash, struct digest *out_sha256, struct error *err);
