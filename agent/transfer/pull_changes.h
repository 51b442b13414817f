/* SPDX-License-Identifier: MIT */
#pragma once

struct change_list;
struct directory;
struct error;
struct pull_plan;
struct tree;

/*
 * pull_changes - what a plan is going to do to DEST, path by path.
 *
 * Call it before the plan is carried out: what is there decides between added and
 * changed. Times and permissions of directories are not told. The list is to be
 * ended by the caller.
 */
int pull_changes_add(const struct pull_plan *plan, const struct tree *tree, struct directory *dest,
                     struct change_list *list, struct error *err);
