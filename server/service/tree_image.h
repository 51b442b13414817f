/* SPDX-License-Identifier: MIT */
#pragma once

#include "common/model/tree.h"
#include "server/service/version_fact.h"

struct error;
struct object;
struct refusal;
struct services;

/*
 * tree_image - a version's tree image, read, checked and shared.
 *
 * Checked once when it is read: its verity digest is the version's, and every
 * field. Counted references. Any thread.
 */
struct tree_image;

/* A damaged or lost image: -EBADMSG or -ENOENT becomes -EIO with REFUSAL_STORAGE, and its blob is
 * reported. Blocks. */
int tree_image_open(struct services *services, const struct version_fact *version,
                    struct tree_image **out, struct refusal *why, struct error *err);
/* Only if it was read already; never blocks (pages may still have to come back). -EAGAIN. */
int tree_image_open_cached(struct services *services, const struct version_fact *version,
                           struct tree_image **out, struct error *err);
struct tree_image *tree_image_ref(struct tree_image *image);
struct tree_image *tree_image_unref(struct tree_image *image); /* NULL is fine; returns NULL */

const struct tree *tree_image_tree(const struct tree_image *image);
struct object *tree_image_object(const struct tree_image *image); /* borrowed */
const char *tree_image_key(const struct tree_image *image);       /* of the object in the store */

/* For the memo: value points to a struct tree_image *. */
void tree_image_take(void *value);
void tree_image_drop(void *value);

void tree_image_unref_at(struct tree_image **at); /* for cleanup() */
