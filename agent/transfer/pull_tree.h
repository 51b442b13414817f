/* SPDX-License-Identifier: MIT */
#pragma once

struct record;
struct directory;
struct error;
struct pulled_tree;
struct transfer;

/*
 * pull_tree - a version's tree image from the server into the file `tree-new` of a
 * directory, checked against the version's tree digest, content and times.
 *
 * -EBADMSG (exit 8): it is not what the version says. Runs the loop.
 */
#define PULL_TREE_NAME "tree-new"

int pull_tree(struct transfer *transfer, const struct record *version, struct directory *home,
              struct pulled_tree *out, struct error *err);
