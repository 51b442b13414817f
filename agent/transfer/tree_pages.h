/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/codec/digest.h"
#include "common/model/merkle.h"

struct error;
struct record;
struct transfer;

/*
 * tree_pages - a version's tree image on the server, read by the page.
 *
 * A page is fetched when a byte of it is first wanted, with the merkle blocks that prove it, and
 * kept. All that is read was checked against the tree digest of the version. Runs the loop.
 */
#define TREE_PAGES_MAX 512 /* more than any look-up takes */

struct tree_pages {
    struct transfer *transfer;
    struct buf path; /* of the image, below /api/v1 */
    struct digest verity;
    struct merkle_shape shape;
    struct buf upper;   /* the levels above the bottom, once they were checked */
    struct buf bottoms; /* bottom blocks and pages of the image, each behind its u64 number */
    struct buf pages;
};

int tree_pages_init(struct tree_pages *pages, struct transfer *transfer,
                    const struct record *version, struct error *err);
void tree_pages_release(struct tree_pages *pages); /* of a zeroed one too */

/* The bytes [offset, offset + size) of the image. -EBADMSG: the server's are not those of the
 * digest, or the image ends before; -EFBIG: too many pages. */
int tree_pages_read(struct tree_pages *pages, uint64_t offset, void *out, size_t size,
                    struct error *err);
