/* SPDX-License-Identifier: MIT */
#pragma once

#include "common/codec/digest.h"

struct directory;
struct error;
struct pull_plan;
struct stat_cache;
struct transfer;
struct tree;

/*
 * pull_stage - every blob that a plan wants, whole and verified, in the staging directory.
 *
 * A blob lies there as its hex digest once its bytes were checked. What an earlier
 * pull left is checked and used; what DEST holds at another path is copied; the
 * rest comes from the server, several at a time. Nothing outside of the staging
 * directory is written.
 */
struct pull_stage_options {
    struct transfer *transfer;
    struct directory *dest;
    struct directory *stage; /* DEST/.kkartifact/stage */
    const struct pull_plan *plan;
    const struct tree *tree;
    struct stat_cache *cache; /* what DEST holds; may be NULL */
    const char *project, *app, *version;
};

/* Runs the loop. -EBADMSG: the server's bytes do not match (exit 8). */
int pull_stage(const struct pull_stage_options *options, struct error *err);
