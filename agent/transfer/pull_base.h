/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/transfer/pull_fetch.h"

struct directory;
struct error;
struct pull_plan;
struct stat_cache;
struct transfer;
struct tree;

/*
 * pull_base - what DEST holds where a large blob is to stand, as the base of a delta.
 *
 * It is the file at the same path; else one that the last pull has put elsewhere: under
 * the same name, rather one that the version has no more; else under a name with other
 * numbers in it (likeness.h) that the version has no more. Of several that with most
 * directories in common, then the nearest in size.
 *
 * What a file holds is taken from the stat cache when its stamp is what it was, else it is
 * read, unless it is much larger than the blob: then fetching takes less. One that was
 * changed is for pull_mend.h. All of it is a guess only: a file that is changed
 * meanwhile, or behind its stamp, gives a delta whose result has another digest, and the
 * blob comes whole.
 *
 * Nothing is looked at unless a large blob is missing; then the stat cache is gone through
 * once, and what is held under like names is bounded: so many paths are compared and so
 * many files examined, in all.
 */
#define PULL_BASE_BLOB_MIN (((uint64_t)256 << 10) + 1) /* smaller ones come in packs */
#define PULL_BASE_READ_TIMES 8 /* a file of so many times the blob's size is not read */
#define PULL_BASE_LOOKS 4096
#define PULL_BASE_COMPARISONS (1u << 21)

struct pull_base {
    char *path;         /* of the version, and of DEST when there is a base */
    bool is_known;      /* what follows is set: there is a base */
    bool is_changed;    /* it is not what the last pull has put there; or it is the blob itself */
    bool is_made;       /* not a base any more: PULL_FETCH_MADE is to be mended */
    bool is_late;       /* the server had no turn: to be asked for again (pull_queue.h) */
    uint8_t times_late; /* so often it had none */
    struct digest sha256;
    struct digest noted; /* changed: what the last pull has put there; or the blob */
    uint64_t size, stamp;
    struct digest verity; /* the blob's; is set without a base too */
};

struct pull_base_options {
    struct transfer *transfer;
    struct directory *dest;
    const struct pull_plan *plan;
    const struct tree *tree;  /* the version's, whole */
    struct stat_cache *cache; /* what DEST holds; may be NULL */
};

/* Gives each large blob that is not here its base. `blobs` are sorted by digest, as the plan's
 * writes are. -ENOMEM, -ECANCELED; what was given till then is released with the rest. */
int pull_base_find(const struct pull_base_options *options, struct pull_blob *blobs, size_t count,
                   struct error *err);
void pull_base_release(struct pull_blob *blobs, size_t count);
