/* SPDX-License-Identifier: MIT */
#pragma once

struct buf;
struct error;
struct object;
struct services;
struct tree_image;

/*
 * tree_names - the names part of a tree image as one zstd frame, made once.
 *
 * It lies in the store beside the image, under KEY.n (and goes with it): the first who asks makes
 * it. A store that takes nothing (full, read-only) costs the making each time, not the answer.
 */

/* *out_object, or NULL and the frame appended to *out_frame. */
int tree_names_open(struct services *services, const struct tree_image *image,
                    struct object **out_object, struct buf *out_frame, struct error *err);

/* The key of the names beside the object under `key`, into out[strlen(key) + 3]. */
void tree_names_key(const char *key, char *out);
