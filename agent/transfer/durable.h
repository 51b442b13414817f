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
 * Of a small plan each file is synced, and the directory that got or lost a name. For a
 * large one Linux syncs the file system as a whole, which then costs less; other systems
 * cannot.
 */

/* What is staged, before the first of it takes the place of a file that is in use: a name that
 * reached the disk before its bytes would be an empty file there. */
int durable_stage(struct transfer *transfer, struct directory *stage, const struct pull_plan *plan,
                  struct error *err);

/* When everything is in place, and before anything says so. */
int durable_make(struct transfer *transfer, struct directory *dest, const struct pull_plan *plan,
                 const struct tree *tree, struct error *err);
