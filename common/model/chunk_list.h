/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/span.h"
#include "common/codec/digest.h"
#include "common/codec/xxh3.h"
#include "common/model/gear.h"
#include "common/model/stream.h"

/*
 * chunk_list - a blob as chunks that content has cut (gear.h), in levels: a hint for
 * deltas, never trusted. What is made by it is verified by SHA-256.
 *
 *   object = header, levels from the top down to the leaves, nothing between
 *   header = 256 bytes: "KKACHNK1", u32 256, u32 levels k, sha256 of the blob, u64 its size,
 *            u32 4096, 16384, 65536, 0, k x (u64 offset, u64 count) top first, zeros
 *   leaf   = u32 length, XXH3-128                                       20 bytes
 *   group  = u64 bytes covered, u32 entries of the level below, XXH3-128 of those   28 bytes
 *
 * A group ends behind its 16th or a later entry whose hash's low 64 bits & 63 are 0,
 * at 256 entries, or with the level. Leaves are grouped once; groups again as long as
 * there are more than 256. So where a group ends is chosen by content too, and the
 * lists of two versions of a huge file differ in few groups. Blobs from 64 KiB to
 * 64 GiB have a list. Levels count from the leaves here: 0 is the leaves.
 *
 * Readers check every rule; a broken one gives -EBADMSG, "offset N: rule". That the
 * hashes are those of the blob cannot be seen without it, and does not matter.
 */
#define CHUNK_LIST_HEADER_SIZE 256
#define CHUNK_LIST_MIN_SIZE 65536u
#define CHUNK_LIST_MAX_SIZE ((uint64_t)64 << 30)
#define CHUNK_LIST_MAX_LEVELS 5 /* 64 GiB in the smallest chunks and groups */
#define CHUNK_LEAF_SIZE 20
#define CHUNK_GROUP_SIZE 28
#define CHUNK_GROUP_MIN 16
#define CHUNK_GROUP_MAX 256

struct chunk_list_shape {
    struct digest sha256; /* of the blob */
    uint64_t size;        /* of the blob */
    uint64_t object_size;
    uint32_t level_count;                         /* 2..CHUNK_LIST_MAX_LEVELS */
    uint64_t level_offset[CHUNK_LIST_MAX_LEVELS]; /* in the object; 0 is the leaves */
    uint64_t level_entries[CHUNK_LIST_MAX_LEVELS];
};

/* Size of one record of a level. */
size_t chunk_record_size(uint32_t level);
/* Bytes of the blob under a record of a level. */
uint64_t chunk_record_bytes(uint32_t level, const uint8_t *record);

/* The header alone: what stands where. `header`: the object's first 256 bytes, or more. The counts
 * are bounded by the size, so that object_size <= size / 128 + 4096 whatever the header says. */
int chunk_list_shape_of(struct span header, struct chunk_list_shape *out, struct error *err);

/* An object in memory or in a mapping, of which every rule was checked. */
struct chunk_list {
    struct span object;
    struct chunk_list_shape shape;
};

/* Names another blob in a header: for lists that are made while the blob's digest is. */
void chunk_list_set_blob(uint8_t *header, const struct digest *sha256);

int chunk_list_open(struct span object, struct chunk_list *out, struct error *err);
/* The records of a level < level_count. */
struct span chunk_list_level(const struct chunk_list *list, uint32_t level);

struct chunk_leaf {
    uint64_t offset; /* in the blob */
    uint32_t length;
    uint64_t index;
    const uint8_t *record; /* CHUNK_LEAF_SIZE bytes of the object */
};

/* Walks the leaves. Plain memory; false at the end. */
struct chunk_cursor {
    const struct chunk_list *list;
    uint64_t index, offset;
};

void chunk_cursor_init(struct chunk_cursor *cursor, const struct chunk_list *list);
bool chunk_cursor_next(struct chunk_cursor *cursor, struct chunk_leaf *out);

/* True when a group of `entries` ends behind its last entry, whose record ends with `hash`, though
 * the level goes on. */
bool chunk_group_ends(size_t entries, const uint8_t hash[XXH3_SIZE]);

/*
 * Builder: bytes in any pieces, in order; records leave by level, in order, as soon
 * as their group is complete. Where a level stands in the object is known at the end
 * only, because the higher ones stand before it; so put() appends to a place of its
 * own for each level (chunk_list_spool, or a file for the leaves), and the object is
 * the header and these from the top down. Leaves are at most 1/200 of the blob (335 MB
 * of 64 GiB; at the usual chunk of 20 KB a fifth of that), all groups 1/2400.
 *
 * Plain memory of the caller (about 100 KiB: not for a small stack), no release, no
 * allocation, whatever the size of the blob. One thread.
 */
typedef int chunk_list_put(void *context, uint32_t level, const void *records, size_t size,
                           struct error *err);

struct chunk_builder_level {
    uint64_t count;  /* records so far */
    size_t held;     /* of the unfinished group, or all while there are few */
    size_t examined; /* of these, whether a group ends there */
    uint8_t records[(CHUNK_GROUP_MAX + 1) * CHUNK_GROUP_SIZE];
};

struct chunk_list_builder {
    chunk_list_put *put;
    void *context;
    uint64_t size; /* bytes so far */
    size_t held;   /* of the unfinished chunk */
    struct chunk_builder_level levels[CHUNK_LIST_MAX_LEVELS];
    uint8_t bytes[GEAR_MAX_SIZE];
};

void chunk_list_builder_init(struct chunk_list_builder *builder, chunk_list_put *put,
                             void *context);
/* -EFBIG beyond 64 GiB; what put() returns. After a failure the builder is done with. */
int chunk_list_builder_add(struct chunk_list_builder *builder, const void *bytes, size_t size,
                           struct error *err);
/* -EINVAL below 64 KiB. */
int chunk_list_builder_end(struct chunk_list_builder *builder, const struct digest *sha256,
                           uint8_t out_header[CHUNK_LIST_HEADER_SIZE], struct error *err);

/* The state as bytes (at most 102 KiB), so that another process goes on where this one stopped.
 * What was put before is not in it. load: -EBADMSG when the bytes are no such state. */
void chunk_list_builder_save(const struct chunk_list_builder *builder, struct buf *out);
int chunk_list_builder_load(struct chunk_list_builder *builder, struct span saved,
                            chunk_list_put *put, void *context, struct error *err);

/* Levels in memory. maximum: bytes of each. */
struct chunk_list_spool {
    struct buf levels[CHUNK_LIST_MAX_LEVELS];
};

struct chunk_list_spool chunk_list_spool_init(size_t maximum);
void chunk_list_spool_release(struct chunk_list_spool *spool);
/* A chunk_list_put; its context is the spool. */
int chunk_list_spool_put(void *context, uint32_t level, const void *records, size_t size,
                         struct error *err);
/* The object: the header and the levels from the top down. */
int chunk_list_spool_write(const struct chunk_list_spool *spool,
                           const uint8_t header[CHUNK_LIST_HEADER_SIZE], const struct sink *sink,
                           struct error *err);

/* Of bytes in memory: appends the object to *out. sha256: NULL to have it made. */
int chunk_list_build(struct span data, const struct digest *sha256, struct buf *out,
                     struct error *err);
