/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

struct error;

/*
 * chunk_index - where a record stands among the records of a level (chunk_list.h).
 *
 * Open addressing over the records where they lie, four to eight bytes each beside
 * them (32 MB for the 4 million leaves of a usual 64 GiB). Of equal records the first
 * is found. SipHash under a key of its own, so that a stranger's list cannot be made
 * of records that collide. Read-only after init: any thread.
 */
struct chunk_index {
    struct span records; /* of the caller; outlives the index */
    size_t record_size;
    uint32_t *slots; /* number of a record + 1; 0: free */
    size_t mask;
    uint64_t key[2];
};

/* records.size is a multiple of record_size, fewer than 2^31 of them. -ENOMEM, -EIO. */
int chunk_index_init(struct chunk_index *index, struct span records, size_t record_size,
                     struct error *err);
void chunk_index_release(struct chunk_index *index);

/* The number of the first record that equals this one. */
bool chunk_index_find(const struct chunk_index *index, const uint8_t *record, uint32_t *out_number);
