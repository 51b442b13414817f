/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/model/chunk_list.h"

/*
 * chunk_list_fetch - another's chunk list, of which only the groups that differ from
 * a list of ours travel.
 *
 * From the top down: the ranges that are wanted now come, are compared with ours at
 * the same level, and what is not known there is wanted of the level below. An equal
 * group covers equal records, so these are taken from our list. Usually two rounds for
 * blobs up to 300 MB, three up to 20 GB; never more than CHUNK_LIST_MAX_LEVELS.
 *
 *     chunk_list_fetch_new(&fetch, header, &ours, maximum, err);  the first 256 bytes
 *     while (chunk_list_fetch_wanted(fetch, &ranges) > 0)
 *         for each: get it, chunk_list_fetch_give(fetch, range.offset, bytes, err)
 *     chunk_list_fetch_end(fetch, &list, err);
 *
 * On the way only what could lead outside the object is checked; at the end the
 * whole of it is, by every rule of chunk_list_open(), what came from our list too.
 * Memory: the object. One thread.
 */
struct chunk_list_range {
    uint64_t offset, size; /* in the object */
};

struct chunk_list_fetch;

/* ours: NULL for none; it outlives the call of chunk_list_fetch_end(). -EFBIG: the object would
 * have more than `maximum` bytes. -EBADMSG: the header breaks a rule. */
int chunk_list_fetch_new(struct chunk_list_fetch **out_fetch, struct span header,
                         const struct chunk_list *ours, size_t maximum, struct error *err);
struct chunk_list_fetch *chunk_list_fetch_free(struct chunk_list_fetch *fetch);

/* How many ranges of this round are wanted, in order of offsets; 0: all is there. They live until
 * the next call with the fetch. */
size_t chunk_list_fetch_wanted(const struct chunk_list_fetch *fetch,
                               const struct chunk_list_range **out_ranges);

/* One wanted range, whole; in any order within the round. The last one begins the next round.
 * -EINVAL: not wanted. -EBADMSG: of another size, or its groups do not add up. After a failure the
 * fetch is only good for free. */
int chunk_list_fetch_give(struct chunk_list_fetch *fetch, uint64_t offset, struct span bytes,
                          struct error *err);

/* *out_list lies in the fetch's memory. -EINVAL while ranges are wanted. */
int chunk_list_fetch_end(const struct chunk_list_fetch *fetch, struct chunk_list *out_list,
                         struct error *err);
