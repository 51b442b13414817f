/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

struct error;

/*
 * file_cache - files that can be made again, by name, in a directory, within a quota.
 *
 * A file is whole or not there, also after a crash. When a new one does not fit, those go that
 * were not asked for the longest (the order outlives the process, to the second). One that is open
 * while it goes stays readable. Names are 1 to FILE_CACHE_NAME_MAX characters of [a-z0-9-]. The
 * directory is this cache's alone and is looked through at the first use. Any thread.
 */
#define FILE_CACHE_NAME_MAX 200
#define FILE_CACHE_FILES_MAX 16384

struct file_cache;

/* path: of a directory that is there. size_max: bytes in all; 0: nothing is ever kept. */
int file_cache_new(const char *path, uint64_t size_max, struct file_cache **out_cache,
                   struct error *err);
struct file_cache *file_cache_free(struct file_cache *cache); /* NULL is fine; returns NULL */

/* -ENOENT. *out_fd is the caller's, for reading. */
int file_cache_open(struct file_cache *cache, const char *name, int *out_fd, uint64_t *out_size,
                    struct error *err);
/* Keeps a copy of the first `size` bytes of a file; replaces what is there. -EFBIG: more than the
 * quota. */
int file_cache_put(struct file_cache *cache, const char *name, int fd, uint64_t size,
                   struct error *err);
/* What was open stays open. 0 when it is not there. */
int file_cache_remove(struct file_cache *cache, const char *name, struct error *err);
