/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"

/* sample_bytes - bytes without a pattern, the same for the same seed. Released by the caller. */
struct buf sample_bytes(size_t size, uint64_t seed);

/* `size` bytes at `at` become others. */
void sample_change(struct buf *bytes, size_t at, size_t size, uint64_t seed);

/* `size` new bytes at `at`; what stood there moves up. */
void sample_insert(struct buf *bytes, size_t at, size_t size, uint64_t seed);

/* `count` equal chunks of the smallest size there is but for a few bytes, each of which may end a
 * group (chunk_list.h): many levels of few bytes. Returns the size of one; its first 4096 bytes may
 * be changed without moving its end. */
size_t sample_small_chunks(size_t count, struct buf *out);
