/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdatomic.h>
#include <stddef.h>

#include "agent/transfer/scan.h"

struct directory;
struct error;
struct transfer;

/*
 * hasher - threads that read files and fill in their digests.
 *
 * A file is examined before and after it was read; one that changed meanwhile is
 * read again, HASHER_TRIES times at most. Then it is given up as unsteady, by name.
 */
#define HASHER_TRIES 3
#define HASHER_UNSTEADY 1 /* a result: the tree changes under us */

struct hasher;

/* A file is through: r as hasher_finish() would say it of this one, or -ECANCELED when it was not
 * looked at any more. On one of the threads. */
typedef void hasher_done(void *context, const struct scan_entry *entry, int r);

/* transfer->threads of them. `root` outlives the hasher. done may be NULL. */
int hasher_new(struct transfer *transfer, struct directory *root, hasher_done *done, void *context,
               struct hasher **out_hasher, struct error *err);

/* From here on bytes are not counted in the meter: it tells of something else. Any thread. */
void hasher_uncounted(struct hasher *hasher);

/* A file to read; waits while many wait. The entry stays where it is until hasher_finish. */
void hasher_add(struct hasher *hasher, struct scan_entry *entry);

/* Waits for all of it: 0, HASHER_UNSTEADY with *out_path the name of a file that changes or
 * has gone (the entry's), or the first error. */
int hasher_finish(struct hasher *hasher, const char **out_path, struct error *err);
/* Without hasher_finish what waits or is being read is dropped. NULL is fine; returns NULL. */
struct hasher *hasher_free(struct hasher *hasher);

/* Reads one open file of known size through `buffer`: its digest; -EIO when it ends early. */
int hasher_read(int fd, uint64_t size, uint8_t *buffer, size_t buffer_size, const atomic_bool *stop,
                struct digest *out_sha256, struct error *err);
