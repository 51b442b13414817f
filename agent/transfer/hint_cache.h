/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/codec/digest.h"

struct buf;
struct directory;

/*
 * hint_cache - what was once made of bytes that were pushed from here: their chunk
 * lists, merkle trees and the like, so that the next push need not ask for them.
 *
 *   <cache>/hints/<sha256 of the bytes>.<kind>   the hint, SHA-256 of the hint
 *
 * Files appear whole, under their names. One that is damaged is none. Nothing rests on
 * a hint: what is made by a wrong one is refused by its digest, so no failure here is
 * told. cache may be NULL: nothing is kept then. One thread a call; other processes may
 * use the same cache.
 */
#define HINT_CACHE_FILES 4096                  /* what a trim leaves */
#define HINT_CACHE_BYTES ((uint64_t)256 << 20) /* the same */
#define HINT_CACHE_LARGEST ((size_t)64 << 20)  /* larger ones are not kept */

/* Appends the hint to *out and makes it the youngest; false: there is none. */
bool hint_cache_get(struct directory *cache, const struct digest *sha256, const char *kind,
                    struct buf *out);
void hint_cache_put(struct directory *cache, const struct digest *sha256, const char *kind,
                    struct span hint);
/* Removes the oldest, down to so many files and bytes. */
void hint_cache_trim(struct directory *cache, size_t files, uint64_t bytes);
