/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

struct blob_store;
struct error;

/*
 * blob_store_memory - a store in memory, for tests.
 *
 * Holds at most `limit` bytes (-ENOSPC beyond). Readers have no descriptor.
 */
int blob_store_memory_new(const char *store_id, uint64_t limit, struct blob_store **out_store,
                          struct error *err);
