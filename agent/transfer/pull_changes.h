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
 * changed. A directory whose time alone changes is told when nothing within it does;
 * one that would be removed, but for what stays in it, is not. The list is to be ended by
 * the caller.
 */
int pull_changes_add(const struct pull_plan *plan, const struct tree *tree, struct directory *dest,
                     struct change_list *list, struct error *err);
