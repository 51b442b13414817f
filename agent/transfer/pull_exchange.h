/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

struct api_version;
struct beside;
struct directory;
struct error;
struct pattern_list;
struct pulled;
struct stat_cache;
struct transfer;
struct tree;

/*
 * pull_exchange - DEST becomes a version, and nothing else, at one instant.
 *
 * The whole tree is made beside DEST (beside.h), out of what DEST holds already and
 * what the server sends, with what is carried over (pull_carry.h). When all of it
 * is durable the two directories change places. A program that runs out of DEST goes on
 * in the former tree, which stays beside until the next pull.
 *
 * No file of the two trees is one file with two names: a program that writes into
 * what it finds would change both.
 */
struct pull_exchange_options {
    struct transfer *transfer;
    struct directory *dest;
    const struct beside *beside;
    const struct pulled *pulled; /* of DEST, locked */
    struct stat_cache *cache;    /* what DEST holds */
    const struct tree *tree;
    const struct api_version *version;
    const struct pattern_list *protect;
    bool delete_extra;
    /* When the new tree is whole, before anything that is in place is taken over; NULL: nothing. */
    int (*before)(void *context, struct error *err);
    void *before_context;
    bool dry_run; /* of the checks: nothing is tried */
};

/* What cannot be exchanged is refused before anything is written: the system, the file system, a
 * mount point, a path that no pull has put there (exit 9). */
int pull_exchange_check(const struct pull_exchange_options *options, struct error *err);

int pull_exchange_run(const struct pull_exchange_options *options, struct error *err);

/* Ends what a pull that died has left undone right after its exchange. */
int pull_exchange_recover(const struct pull_exchange_options *options, struct error *err);
