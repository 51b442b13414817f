/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "server/storage/file_tree.h"

/*
 * file_commits - makes written files durable and readable, several at a time.
 *
 * Threads that commit at the same moment are served by one of them: few files are
 * synced one by one; many (FILE_COMMITS_SYNCFS) by two syncs of the file system,
 * whatever their number, one for the data and one for the names, and the second of one
 * batch is the first of the next.
 *
 * A name whose sync failed is taken back: whoever finds an object under its key takes it for
 * durable.
 */
#define FILE_COMMITS_SYNCFS 4

struct file_commits;

/* What one object needs. The descriptor and the key stay the caller's. */
struct file_commit {
    int fd;
    const char *key;
    int folder_fd; /* the rest is for file_commits alone */
    bool is_named;
};

int file_commits_new(const struct file_tree *tree, struct file_commits **out, struct error *err);
struct file_commits *file_commits_free(struct file_commits *commits); /* NULL is fine */

/* 0 when every item is durable under its key; else none of them is there, but for what the disk
 * would not let go of. */
int file_commits_run(struct file_commits *commits, struct file_commit *items, size_t count,
                     struct error *err);
