/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "common/base/span.h"

struct error;
struct tree;

/*
 * prefetch_list - `.kkartifact-prefetch` at the top of a tree: what a start of it reads, declared
 * by whoever pushed it.
 *
 * One path a line, from the top of the tree, in the order in which they are to come; of a directory
 * all below it. `#` begins a comment line; spaces at both ends of a line, a `/` in front and one at
 * the end do not count; `.` is everything. It is an ordinary file of the version and a hint: a line
 * that names nothing is passed over, links are not followed, and what is behind the bounds is not
 * looked at.
 */
#define PREFETCH_LIST_NAME ".kkartifact-prefetch"
#define PREFETCH_LIST_SIZE_MAX ((uint64_t)256 * 1024) /* a larger file is no list */
#define PREFETCH_LIST_LINES_MAX 4096                  /* with those that name nothing */
#define PREFETCH_LIST_FILES_MAX 65536                 /* of all lines together */

/* Its file in the tree (the names part is enough): -ENOENT when there is none, or none that can be
 * a list. */
int prefetch_list_find(const struct tree *tree, uint32_t *out_index);

/* Calls `function` for each file that is named, by its record, in order; one that two lines name
 * comes twice. Its non-zero return ends it and is returned. -ENOMEM. */
typedef int prefetch_list_function(void *context, uint32_t index);
int prefetch_list_read(struct span text, const struct tree *tree, prefetch_list_function *function,
                       void *context, struct error *err);
