/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

struct directory;
struct error;
struct remote_tree;
struct transfer;

/*
 * get - an entry of a version, once, with no state left behind.
 *
 * It is fetched into a directory beside the target (get_work.h), verified there, and gets
 * its name by a rename; what a killed get left in that place goes first. What stands at
 * the target is treated as cp does: a file or a link is replaced, a directory is filled up,
 * and a directory never gives way to something else, nor something else to a directory
 * (-EISDIR, -ENOTDIR, exit 9, before anything is written).
 */
struct get_options {
    struct transfer *transfer;
    const struct remote_tree *tree;
    uint32_t index; /* of the entry in the tree; TREE_ROOT: all of it */
    struct directory *parent;
    const char *name; /* of the target in it */
};

struct get_result {
    uint64_t files, bytes;
};

/* Runs the loop. */
int get_run(const struct get_options *options, struct get_result *out, struct error *err);

/* The bytes of a file to an open descriptor, in order; none that was not verified. Runs the
 * loop. */
int get_stream(const struct get_options *options, int fd, struct get_result *out,
               struct error *err);
