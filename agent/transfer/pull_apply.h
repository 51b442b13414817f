/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct directory;
struct error;
struct pattern_list;
struct pull_plan;
struct transfer;
struct tree;

/*
 * pull_apply - a plan whose blobs are staged becomes true in DEST.
 *
 * Directories first, then each file by one rename, links likewise, then what is gone
 * from the version, then modes and times. Killed anywhere, each file is the old or
 * the new one, whole; the next pull completes it. Nothing is followed.
 */
struct pull_apply_options {
    struct transfer *transfer;
    struct directory *dest;
    struct directory *home; /* DEST/.kkartifact: the new stat cache goes there; NULL: none */
    struct directory *stage;
    const struct pull_plan *plan;
    const struct tree *tree;
    const struct pattern_list *protect;
    bool in_use; /* programs may run from dest: once begun it goes on, whoever asks to stop */
};

struct pull_counts {
    uint64_t written_files; /* and links */
    uint64_t deleted_files; /* and links */
};

int pull_apply(const struct pull_apply_options *options, struct pull_counts *out,
               struct error *err);
