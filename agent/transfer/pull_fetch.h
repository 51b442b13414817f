/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/codec/digest.h"

struct directory;
struct error;
struct pull_base;
struct transfer;

/*
 * pull_fetch - blobs of a version from the server into files named by their digests.
 *
 * Several at a time; each is written as `<digest>.part`, hashed as it arrives, and
 * renamed when size and digest are right. One that breaks off goes on where it was, in
 * this pull or in another that finds its part. Wrong bytes are fetched once more, from
 * the beginning, then the pull fails with -EBADMSG (exit 8).
 *
 * A blob with a known base is asked for as a delta from it, a few at a time, and later again when
 * the server is at too many. A delta is spooled under the
 * same name, so that it can be broken off and begun anew, and applied on a thread;
 * whatever is wrong with it, the blob then comes whole.
 */
#define PULL_FETCH_PART ".part" /* behind the digest: what there is of a blob that broke off */
#define PULL_FETCH_MADE \
    ".made" /* what a delta makes; of a base that was changed: for pull_mend.h */
#define PULL_FETCH_NAME_SIZE (DIGEST_HEX_SIZE + 8)

struct pull_blob {
    struct digest sha256;
    uint64_t size;
    bool is_here;           /* nothing to do; set once it is */
    struct pull_base *base; /* of a large one (pull_base.h); or NULL */
    /* Of the file that it becomes. Whoever makes it may give it both: then nobody has to do that by
     * its name. */
    int64_t mtime;
    uint16_t mode;
};

/* Of blobs sorted by digest the one with this; NULL. */
struct pull_blob *pull_blob_find(struct pull_blob *blobs, size_t count,
                                 const struct digest *sha256);

struct pull_fetch_options {
    struct transfer *transfer;
    struct directory *dest; /* where bases are */
    struct directory *stage;
    struct pull_blob *blobs;
    size_t count;
    const char *project, *app, *version;
};

/* Blobs whose bases say `is_made` (pull_base.h) are left out, or left so. Runs the loop. */
int pull_fetch(const struct pull_fetch_options *options, struct error *err);
