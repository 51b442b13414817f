/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/codec/digest.h"

struct directory;
struct error;

/*
 * kept_files - copies of the large files that were pushed last, so that the next push can send
 * patches of their bytes where chunk lists alone find little: programs, whose addresses all
 * move a little from one build to the next.
 *
 *   <cache>/kept/<sha256>   the bytes
 *
 * A copy shares its blocks with the original where the file system can. It is not looked at when
 * it is used: a patch of damaged bytes makes another file, which the server refuses, and the file
 * goes whole. So no failure here is told. cache may be NULL: nothing is kept then. Other processes
 * may use the same cache. One thread a call.
 */
#define KEPT_FILES_MIN ((uint64_t)256 << 10) /* of a file: smaller ones go in packs */
#define KEPT_FILES_MAX ((uint64_t)128 << 20) /* the same: larger ones are not patched */
#define KEPT_FILES_BYTES ((uint64_t)256 << 20)
#define KEPT_FILES_FREE ((uint64_t)1 << 30) /* what has to be free beside a copy */

/* Opens the copy; false: there is none of this size. */
bool kept_files_open(struct directory *cache, const struct digest *sha256, uint64_t size,
                     int *out_fd);
/* Copies an open file of this digest, unless it is there, and makes the copy the youngest. */
void kept_files_put(struct directory *cache, const struct digest *sha256, int fd, uint64_t size);
void kept_files_remove(struct directory *cache, const struct digest *sha256);
/* Removes the oldest, down to so many bytes. */
void kept_files_trim(struct directory *cache, uint64_t bytes);
