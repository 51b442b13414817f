/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/file.h"
#include "common/base/span.h"
#include "common/codec/digest.h"

struct directory;
struct error;

/*
 * stat_cache - which bytes files held when they were last looked at, so that they
 * need not be read again.
 *
 *   "kkartifact-stat-1" NUL, i64 seconds, u32 nanoseconds: when the writing began
 *   per file, in the order of listings: u16 path size (> 0), u64 stamp, 32 bytes sha256, path
 *   u16 0, SHA-256 of all that stands before
 *
 * A stamp is a hash of size, times, device and inode. A file changed within the
 * clock's grain of the look, or after it, is not believed. A cache that is absent
 * or damaged is an empty one: never an error. One thread at a time.
 */
uint64_t stat_stamp(const struct file_info *info);

/* A cache that is begun so long after a change believes the file. */
#define STAT_CACHE_GRAIN_MS 25

struct stat_cache;

/* 0 also when there is none; -ENOMEM. */
int stat_cache_open(struct directory *at, const char *path, struct stat_cache **out_cache,
                    struct error *err);
struct stat_cache *stat_cache_close(struct stat_cache *cache); /* NULL is fine; returns NULL */

/* Whether the file is as it was, and what it holds; of one that is not, what it held, and of one
 * that was not there *out_sha256 stays. Paths are asked for in the order of listings: one that goes
 * back is not found. NULL: an empty cache. */
bool stat_cache_find(struct stat_cache *cache, struct span path, const struct file_info *info,
                     struct digest *out_sha256);
/* Begins again at the front. */
void stat_cache_rewind(struct stat_cache *cache);
/* The next file, without asking whether it is as it was; false at the end. */
bool stat_cache_next(struct stat_cache *cache, struct span *out_path, uint64_t *out_stamp,
                     struct digest *out_sha256);

struct stat_cache_writer;

/* Begins a new cache beside the old; call it before the files are looked at. */
int stat_cache_writer_new(struct directory *at, const char *path,
                          struct stat_cache_writer **out_writer, struct error *err);
int stat_cache_writer_add(struct stat_cache_writer *writer, struct span path, uint64_t stamp,
                          const struct digest *sha256, struct error *err);
/* Takes the place of the old one. */
int stat_cache_writer_end(struct stat_cache_writer *writer, struct error *err);
/* Without _end nothing of it stays. NULL is fine; returns NULL. */
struct stat_cache_writer *stat_cache_writer_free(struct stat_cache_writer *writer);
