/* SPDX-License-Identifier: MIT */
#pragma once

struct directory;
struct error;
struct pull_plan;
struct transfer;
struct tree;

/*
 * durable - what a plan has put into a directory outlives a power cut.
 *
 * Called when everything is in place and before anything says so. Linux syncs
 * the file system as a whole, which costs less than a call for each of many files;
 * elsewhere each file that was written is synced, and every directory of the tree.
 */
int durable_make(struct transfer *transfer, struct directory *dest, const struct pull_plan *plan,
                 const struct tree *tree, struct error *err);
