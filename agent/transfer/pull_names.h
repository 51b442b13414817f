/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"

struct directory;
struct error;
struct transfer;
struct tree;

/*
 * pull_names - refuses a version with names that this system or this disk cannot hold,
 * before anything of it is written (local_names.h).
 *
 * Looked at is the entry `index` with all that is below it; TREE_ROOT: the whole tree.
 * -EINVAL (exit 9): the first is in the error, up to twenty are told.
 */
int pull_names_check(struct transfer *transfer, struct directory *dest, const struct tree *tree,
                     uint32_t index, struct error *err);

/* Whether DEST's disk takes the path for an entry of the tree (local_names.h). */
bool pull_names_has(struct directory *dest, const struct tree *tree, struct span path);
