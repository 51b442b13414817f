/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

struct api_client;
struct blob_fetch;
struct error;
struct http_loop;
struct known_versions;
struct tree_mount;
struct workers;

/*
 * tree_opening - the steps from a name to an open version.
 *
 * First without a request: what is known and cached, with the record that was kept. Else the tree
 * and the version's record are asked for side by side; where the client is offline that is all:
 * -ENETDOWN for a version that is known, -ENOENT for another. The record is kept for next time. A
 * record that is not to be had, or says other things than the tree, is replaced by what is certain.
 *
 * All on the loop's thread.
 */
struct opening_place {
    struct http_loop *loop;
    struct blob_fetch *engine;
    struct api_client *client;
    struct known_versions *known;
    struct workers *workers;
    const char *records;   /* or NULL */
    const char *temporary; /* or NULL */
};

/* mount is a reference of the opening's until done returns; NULL on failure. done never comes from
 * inside. The names must stay until then. */
typedef void tree_opening_done(void *context, struct tree_mount *mount, const struct error *err);
int tree_opening_start(const struct opening_place *place, const char *project, const char *app,
                       const char *version, uint64_t deadline_ms, tree_opening_done *done,
                       void *context, struct error *err);
