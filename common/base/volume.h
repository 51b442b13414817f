/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct directory;
struct error;

/*
 * volume - the file system that holds a directory.
 */
struct volume_space {
    uint64_t bytes; /* free for this user */
    uint64_t files; /* how many more it can hold; UINT64_MAX where it does not count them */
};

int volume_space(struct directory *directory, struct volume_space *out, struct error *err);

/* Whether a copy of a file can share its bytes with the original (reflinks). Tries it on two files
 * that it makes and removes. */
bool volume_shares(struct directory *directory);

/* What was written to it so far, by anyone, is durable: data, names and all. -ENOTSUP where the
 * system has no such call, or one that does not wait: then files and directories are to be synced
 * one by one. */
int volume_sync(struct directory *directory, struct error *err);
