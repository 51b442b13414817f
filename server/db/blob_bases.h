/* SPDX-License-Identifier: MIT */
#pragma once

#include "server/db/blobs.h"

/*
 * blob_bases - blobs that deltas start from.
 *
 * A token may name any blob that it may pull: one of any version within its scope, also a listing,
 * times, or a tree image. What is there without being within the scope does not exist.
 */

/* project NULL: everything; app NULL: the whole project. -ENOENT: no such blob, none within the
 * scope, or lost. */
int blob_base_find(struct database *database, const char *project, const char *app,
                   const struct digest *sha256, struct blob *out, struct error *err);
