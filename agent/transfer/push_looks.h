/* SPDX-License-Identifier: MIT */
#pragma once

#include "agent/transfer/push_base.h"
#include "common/base/buf.h"
#include "common/codec/digest.h"

struct directory;
struct error;
struct scan_entry;

/*
 * push_looks - the chunk lists and merkle trees of large files, made on a thread of their own
 * while their digests are made on others.
 *
 * Only of a file that was pushed from here before and has changed since: a delta from what it was
 * is then likely, and the hint cache tells which of the two it will take. A look that nobody takes
 * has cost a thread's time; one that fails, or that is not there, is made again by whoever needs
 * it. Memory: PUSH_LOOKS_BYTES of lists and trees.
 */
#define PUSH_LOOKS_FILE_MIN ((uint64_t)4 << 20)
#define PUSH_LOOKS_BYTES ((uint64_t)16 << 20)

struct push_looks;

/* root and cache (or NULL) outlive it. */
int push_looks_new(struct directory *root, struct directory *cache, struct push_looks **out_looks,
                   struct error *err);
/* Ends what runs. NULL is fine; returns NULL. */
struct push_looks *push_looks_free(struct push_looks *looks);

/* A file before it is hashed. last: what it held when it was pushed last; all zeros: it never was.
 * The entry does not move. One thread. */
void push_looks_add(struct push_looks *looks, const struct scan_entry *entry,
                    const struct digest *last);

/* From here on looks end soon, without a result. NULL is fine. */
void push_looks_stop(struct push_looks *looks);

/* Once the entry has its digest, and after waiting for its look: whether there was one of this kind
 * at the file as it was hashed. *out is then the caller's. looks may be NULL. Any thread, one for
 * an entry; not the loop's, which would wait too. */
bool push_looks_take(struct push_looks *looks, const struct scan_entry *entry,
                     enum push_base_kind kind, struct buf *out);
