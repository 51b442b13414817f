/* SPDX-License-Identifier: MIT */
#pragma once

#include "common/base/span.h"

struct error;
struct remote_tree;
struct transfer;

/*
 * remote_entry - a version's tree, or of a large one no more than one file or link of it.
 *
 * A file is looked up in the tree image as it lies on the server (tree_pages.h): some pages of it
 * are fetched instead of all. *out is then the tree of that entry and of the directories above it;
 * its record is the version's. A directory, the version itself (an empty path) and small trees come
 * whole, and so does what the pages do not answer.
 */

/* -ENOENT: there is no such version, or it has no such entry. Else as remote_tree_fetch(). */
int remote_entry_fetch(struct transfer *transfer, const char *project, const char *app,
                       const char *version, struct span path, struct remote_tree *out,
                       struct error *err);
