/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

#include "server/storage/blob_store.h"

struct error;

/*
 * blob_store_file - a store in a directory of a local file system.
 *
 *     DIR/.kkartifact-store    the sentinel: the store's id and a newline
 *     DIR/blobs/ab/cd/KEY      readable objects, 0444; ab, cd = characters 1-2, 3-4 of the key
 *     DIR/aside/KEY            what was taken out by hand or by fsck; nothing reads it
 *     DIR/tmp/KEY              unfinished ones, 0600, locked (flock) while a writer has them
 *
 * Everything happens beneath one descriptor of DIR, and no link is followed. An
 * object is written, its data synced, renamed into place without replacing, and
 * the directories synced, before commit returns. Commits that wait at the same
 * time share what makes them durable. Opening syncs the file system once: what a
 * process before had named and not synced is durable then.
 *
 * found: this store may be made here: DIR, its parts and the sentinel are made
 * when they are absent and nothing was ever stored here (objects without a sentinel:
 * -EBADMSG). Otherwise what is missing is -ENOENT: a disk that is not mounted looks
 * like an empty directory. A sentinel with another id: -EBADMSG.
 */
int blob_store_file_open(const char *path, const char *store_id, bool found,
                         struct blob_store **out_store, struct error *err);

/* Whose store this directory is, by its sentinel. -ENOENT: it is none. */
int blob_store_file_id(const char *path, char out_id[BLOB_STORE_ID_SIZE], struct error *err);
