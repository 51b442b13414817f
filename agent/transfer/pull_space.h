/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct directory;
struct error;
struct pull_plan;
struct transfer;
struct tree;
struct volume_space;

/*
 * pull_space - whether there is room for what a plan writes, before it is written.
 *
 * Counted are bytes and names, not blocks: too little is told only when it is sure,
 * else the disk tells. What an earlier pull has staged is there already; what is
 * replaced gives its room back only after the new is staged.
 */
struct pull_space_need {
    uint64_t bytes, files;
};

/* stage: what may hold some of the blobs; NULL: nothing is staged. fresh: nothing is replaced, so
 * that each file of equal ones takes room. */
struct pull_space_need pull_space_need(const struct pull_plan *plan, const struct tree *tree,
                                       struct directory *stage, bool fresh);

/* -ENOSPC with both numbers. */
int pull_space_compare(const struct pull_space_need *need, const struct volume_space *space,
                       struct error *err);

/* The two on the file system of `at`; one that does not tell is taken to have room. Where it
 * lacks, what `stage` (or NULL) holds that is of no use for the plan gives its room back: what a
 * pull has left that was killed, or was of another version. -ENOSPC (exit 9). */
int pull_space_check(struct transfer *transfer, struct directory *at, struct directory *stage,
                     const struct pull_plan *plan, const struct pull_space_need *need,
                     struct error *err);
