/* SPDX-License-Identifier: MIT */
#pragma once

struct directory;
struct error;
struct pulled_tree;
struct record;
struct transfer;
struct tree;

/*
 * pull_rebuild - a version's tree image made here, out of the image of the last pull.
 *
 * Listing and times come as deltas from the old ones, the verity digests of files that
 * are new out of the server's image, 64 bytes each: of a hundred thousand files with one
 * changed some 20 KiB travel, where the image has 12 MB. The result counts when its own
 * verity digest is the record's, as of an image that came whole.
 *
 * Memory: about four times the image while it works; images above PULL_REBUILD_IMAGE_MAX
 * come whole, and small ones, which are cheaper so.
 */
#define PULL_REBUILD_IMAGE_MIN ((uint64_t)128 << 10)
#define PULL_REBUILD_IMAGE_MAX ((uint64_t)128 << 20)
#define PULL_REBUILD_NEW_MAX 256 /* files whose digests are asked for */

#define PULL_REBUILD_NOT 1 /* it did not work out: get the image whole */

/* The image is then the file PULL_TREE_NAME (pull_tree.h) of home. 0, PULL_REBUILD_NOT, or what
 * getting it whole would not mend. Runs the loop. */
int pull_rebuild(struct transfer *transfer, const struct record *version, const struct tree *old,
                 struct directory *home, struct pulled_tree *out, struct error *err);
