/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/client/blob_cache.h"
#include "common/client/blob_fetch.h"
#include "common/client/known_versions.h"

struct api_client;
struct tree_fetch;

/*
 * tree_fetch - a version's tree: its names at once, its digests as they are needed.
 *
 * Two round trips: the version object (asked of the server, checked against what is known), then
 * the names part and the merkle levels of the tree image side by side. The names part is verified
 * against the tree's verity digest and can be walked at once; a page of digests is fetched by Range
 * through the engine when a file of it is first wanted; the whole image is completed behind,
 * checked against `content`, and kept in the cache: the next open needs no request but the
 * version's, and none at all with TREE_OFFLINE.
 *
 * A tree digest other than the one known for the same content is used only after the whole image
 * was checked: opening then takes the time of a complete fetch.
 *
 * The functions belong to the loop's thread, except those marked. The names part stays in memory at
 * one address until tree_fetch_unref takes the last reference.
 */
enum tree_flags {
    TREE_OFFLINE = 1,   /* no request for the version: what is known and cached, or -ENOENT */
    TREE_COMPLETE = 2,  /* done is called only when the whole image is here and checked */
    TREE_NO_BEHIND = 4, /* do not complete it behind */
};

struct tree_fetch_options {
    struct blob_fetch *engine;
    struct api_client *client;
    struct known_versions *known;        /* or NULL: nothing is remembered */
    const char *project, *app, *version; /* an exact version, "latest" or "@channel" */
    unsigned flags;
    uint64_t deadline_ms; /* clock_monotonic_ms */
};

/* tree is NULL on failure, else a reference that is the callee's to unref. Errors: those of
 * api_version_get and blob_fetch_read; -EBADMSG also for other content than known, a names part
 * that does not verify, an image that does not give `content`. */
typedef void tree_fetch_done(void *context, struct tree_fetch *tree, const struct error *err);
int tree_fetch_open(const struct tree_fetch_options *options, tree_fetch_done *done, void *context,
                    struct error *err);
/* The same, running the loop until it is done. */
int tree_fetch_open_wait(const struct tree_fetch_options *options, struct tree_fetch **out_tree,
                         struct error *err);

struct tree_fetch *tree_fetch_ref(struct tree_fetch *tree);   /* any thread */
struct tree_fetch *tree_fetch_unref(struct tree_fetch *tree); /* loop thread; returns NULL */

const char *tree_fetch_project(const struct tree_fetch *tree);
const char *tree_fetch_app(const struct tree_fetch *tree);
const char *tree_fetch_version(const struct tree_fetch *tree); /* the name it resolved to */
const struct known_version *tree_fetch_facts(const struct tree_fetch *tree);

/* image[0 .. end of targets): verified; what common/model's tree reader takes. Any thread. */
struct span tree_fetch_names(const struct tree_fetch *tree);

/* The digests of a file by its index in the digest section (FORMATS 4). Any thread: 0, or
 * -EAGAIN when that page is not here yet; then tree_fetch_digest_start brings it. */
int tree_fetch_digest(struct tree_fetch *tree, uint32_t index, struct digest *out_sha256,
                      struct digest *out_verity);
/* Loop thread. sha256 and verity are only right when result is 0. */
typedef void tree_digest_done(void *context, int result, const struct digest *sha256,
                              const struct digest *verity, const struct error *err);
int tree_fetch_digest_start(struct tree_fetch *tree, uint32_t index, uint64_t deadline_ms,
                            tree_digest_done *done, void *context, struct error *err);

/* The object of a file: the engine's handle, with the paths of this version. Any thread. */
int tree_fetch_object(struct tree_fetch *tree, const struct digest *sha256,
                      const struct digest *verity, uint64_t size, struct blob_object **out_object,
                      struct error *err);

/* The image's own object, and how far it is: complete means checked against `content`. Any
 * thread. */
struct blob_object *tree_fetch_image(const struct tree_fetch *tree);
bool tree_fetch_is_complete(const struct tree_fetch *tree);
/* Completes and checks it (once, whoever asks); done comes when it is, or failed. Loop thread. */
int tree_fetch_complete(struct tree_fetch *tree, uint64_t deadline_ms, blob_read_done *done,
                        void *context, struct error *err);
