/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct cache;
struct error;

/*
 * cache_memory - least recently used, in this process.
 *
 * At most `bytes_max` bytes of keys, values and their book-keeping; a value above
 * an eighth of that is not kept. `now_ms` is a monotonic clock (NULL: the system's).
 */
int cache_memory_new(size_t bytes_max, uint64_t (*now_ms)(void), struct cache **out_cache,
                     struct error *err);
