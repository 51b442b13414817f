/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/storage/blob_store.h"

/*
 * file_tree - the directories of a file store: where an object lies, and making it last.
 *
 * Every path is resolved beneath the descriptor of the root, never through a link.
 * System errors are given as the store's (file_tree_error). Any thread.
 */
struct file_tree {
    int root_fd;
    int blobs_fd;
    int tmp_fd;
};

#define FILE_TREE_SENTINEL ".kkartifact-store"

/* "ab" of a key: 256 directories serve millions of objects; one level more was a new directory,
 * with its own block and two syncs, for nearly every object of a small store. */
#define FILE_TREE_FOLDER_SIZE 3
void file_tree_folder(const char *key, char out[FILE_TREE_FOLDER_SIZE]);

/* Opens the root, and blobs/ and tmp/ in it, which are made when `found`. -ENOENT: not there. */
int file_tree_open(const char *path, bool make, struct file_tree *out, struct error *err);
void file_tree_close(struct file_tree *tree);

/* Reads the sentinel: 0 and the id, or -ENOENT; another content than an id: -EBADMSG. */
int file_tree_sentinel(const struct file_tree *tree, char out_id[BLOB_STORE_ID_SIZE],
                       struct error *err);
int file_tree_sentinel_make(const struct file_tree *tree, const char *id, struct error *err);

/* True when nothing was ever stored here. */
bool file_tree_is_empty(const struct file_tree *tree);

/* The directory that holds a key, made when `make`; *out_made (may be NULL): it is new, and blobs/
 * has to be synced too. */
int file_tree_folder_open(const struct file_tree *tree, const char *key, bool make, int *out_fd,
                          bool *out_made, struct error *err);

/* The directory of what was set aside, made when it is not there. */
int file_tree_aside_open(const struct file_tree *tree, int *out_fd, struct error *err);

/* Opens a readable object, or with O_PATH only its name; -1 and errno: it could not be. */
int file_tree_object_open(const struct file_tree *tree, const char *key, int flags);

/* Walks the readable objects. */
int file_tree_walk(const struct file_tree *tree, blob_store_each *each, void *context,
                   struct error *err);

/* A failed call: -ENOENT, -EEXIST, -ENOSPC (quota too), -EROFS, -ENOMEM, -EAGAIN (descriptors),
 * else -EIO. */
int file_tree_error(struct error *err, int saved_errno, const char *what);
