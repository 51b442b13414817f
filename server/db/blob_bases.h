/* SPDX-License-Identifier: MIT */
#pragma once

#include "server/db/blobs.h"

/*
 * blob_bases - blobs that deltas start from.
 *
 * A token may name any blob that it may pull: one of any version within its scope, also a listing,
 * times, or a tree image. What is there without being within the scope does not exist.
 *
 * A base that a push's blobs are rebuilt from is held until the push ends: the collector keeps away
 * from what stands in push_bases, as from what stands in push_blobs. It does not become part of the
 * version by that.
 */

/* project NULL: everything; app NULL: the whole project. -ENOENT: no such blob, none within the
 * scope, or lost. */
int blob_base_find(struct database *database, const char *project, const char *app,
                   const struct digest *sha256, struct blob *out, struct error *err);

/* The same, held for the push; one that was condemned lives again. -ENOENT also when the push has
 * ended. */
int blob_base_hold(struct database *database, int64_t push_number, const char *project,
                   const char *app, const struct digest *sha256, struct blob *out,
                   struct error *err);
