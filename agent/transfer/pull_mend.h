/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

struct error;
struct pull_fetch_options;

/*
 * pull_mend - large blobs out of files that somebody has changed in DEST.
 *
 * Such a file is no blob of the server's, but most of it still is what the last pull has
 * put there. So the delta from that is asked for and applied to what is there now
 * (pull_fetch.h); where that is the very blob that is wanted, the file is copied. What
 * comes of either is wrong where the file was changed. The places are found to 4 KiB by
 * the blob's merkle tree, of which the levels above the bottom travel and the bottom
 * blocks of wrong pieces, and their bytes are fetched. The result counts by its SHA-256,
 * as ever; what does not work out comes whole.
 *
 * One file after the other, since it is rare. Memory: 512 KiB, a thousandth of the blob, and
 * what range_fetch.h takes. Runs the loop. -ECANCELED, -ENOMEM; nothing else is a failure.
 */

/* Before pull_fetch(): of each base that was changed, whether the server knows what it is now, or
 * what it was is to be asked for, or it is copied. */
int pull_mend_prepare(const struct pull_fetch_options *options, struct error *err);

/* After it: what was copied, or was made by a delta, becomes the blob. *out_left: how many do not,
 * and are to be fetched. */
int pull_mend(const struct pull_fetch_options *options, size_t *out_left, struct error *err);

/* After a failure, for good: nothing of it stays in the stage. */
void pull_mend_drop(const struct pull_fetch_options *options);
