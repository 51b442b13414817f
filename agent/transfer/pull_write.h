/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

#include "agent/transfer/pull_apply.h"

struct api_version;
struct directory;
struct error;
struct pattern_list;
struct pull_plan;
struct pulled;
struct stat_cache;
struct transfer;
struct tree;

/*
 * pull_write - a plan is carried out in a directory: staged, put in place, made durable,
 * and only then noted as pulled (pulled.h).
 */
struct pull_write_options {
    struct transfer *transfer;
    struct directory *dest;
    struct pulled *pulled;    /* of dest, locked */
    struct directory *store;  /* what it holds is copied where it can be: dest, or another */
    struct stat_cache *cache; /* what `store` holds; may be NULL */
    const struct pull_plan *plan;
    const struct tree *tree;
    const struct api_version *version;
    const struct pattern_list *protect;
    /* When all is staged, before the first change; NULL: nothing. */
    int (*before)(void *context, struct error *err);
    void *before_context;
    bool in_use;    /* dest is in place: programs may run from it */
    bool has_image; /* dest's home holds the tree as PULL_TREE_NAME: it becomes pending first */
};

/* The tree and the plan stay the caller's. Runs the loop. */
int pull_write_run(const struct pull_write_options *options, struct pull_counts *out,
                   struct error *err);
