/* SPDX-License-Identifier: MIT */
#pragma once

#include "agent/transfer/pulled.h"
#include "agent/transfer/scratch.h"
#include "common/base/buf.h"
#include "common/client/api_versions.h"

struct error;
struct transfer;

/*
 * remote_tree - a version's tree, fetched and verified, for those who pull nothing.
 *
 * The image lies in a scratch directory, which is gone before this returns where the
 * system lets it.
 */
struct remote_tree {
    struct api_version version;
    struct pulled_tree image;
    struct scratch scratch;
    struct buf part; /* instead of them: the image of one entry alone (remote_entry.h) */
};

/* version: a name, "latest" or "@channel". -EBADMSG (exit 8): it is not what the version says. Runs
 * the loop. */
int remote_tree_fetch(struct transfer *transfer, const char *project, const char *app,
                      const char *version, struct remote_tree *out, struct error *err);
void remote_tree_release(struct remote_tree *tree); /* of a zeroed one too */
