/* SPDX-License-Identifier: MIT */
#include "common/model/chunk_list.h"

#include <errno.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/model/chunk_list_layout.h"

static int refuse(uint64_t offset, struct error *err, const char *rule)
{
    return error_set(err, -EBADMSG, "offset %llu: %s", (unsigned long long)offset, rule);
}

size_t chunk_record_size(uint32_t level)
{
    return level == 0 ? CHUNK_LEAF_SIZE : CHUNK_GROUP_SIZE;
}

uint64_t chunk_record_bytes(uint32_t level, const uint8_t *record)
{
    return level == 0 ? bytes_u32(record) : bytes_u64(record);
}

bool chunk_group_ends(size_t entries, const uint8_t hash[XXH3_SIZE])
{
    return entries == CHUNK_GROUP_MAX || (entries >= CHUNK_GROUP_MIN && bytes_u64(hash) % 64 == 0);
}

static const uint32_t parameters[] = { GEAR_MIN_SIZE, GEAR_NORMAL_SIZE, GEAR_MAX_SIZE, 0 };

void chunk_list_put_header(const struct chunk_list_shape *shape,
                           uint8_t out[CHUNK_LIST_HEADER_SIZE])
{
    memset(out, 0, CHUNK_LIST_HEADER_SIZE);
    memcpy(out, CHUNK_LIST_MAGIC, 8);
    bytes_set_u32(out + 8, CHUNK_LIST_HEADER_SIZE);
    bytes_set_u32(out + 12, shape->level_count);
    memcpy(out + CHUNK_LIST_BLOB_AT, shape->sha256.bytes, DIGEST_SIZE);
    bytes_set_u64(out + 48, shape->size);
    for (size_t i = 0; i < 4; i++)
        bytes_set_u32(out + PARAMETERS_AT + 4 * i, parameters[i]);
    for (uint32_t i = 0; i < shape->level_count; i++) {
        uint32_t level = shape->level_count - 1 - i;
        bytes_set_u64(out + LEVELS_AT + 16 * i, shape->level_offset[level]);
        bytes_set_u64(out + LEVELS_AT + 16 * i + 8, shape->level_entries[level]);
    }
}

void chunk_list_place_levels(struct chunk_list_shape *shape)
{
    uint64_t offset = CHUNK_LIST_HEADER_SIZE;

    for (uint32_t level = shape->level_count; level > 0; level--) {
        shape->level_offset[level - 1] = offset;
        offset += shape->level_entries[level - 1] * chunk_record_size(level - 1);
    }
    shape->object_size = offset;
}

/* True when `count` records, each of min..max of what there is `below` (the last maybe of less). */
static bool count_fits(uint64_t count, uint64_t below, uint64_t min, uint64_t max)
{
    return count >= (below + max - 1) / max && count <= (below + min - 1) / min;
}

/* The counts, from the leaves up: no writer comes to others. */
static int check_counts(const struct chunk_list_shape *shape, struct error *err)
{
    uint32_t top = shape->level_count - 1;
    uint64_t below = shape->size;

    if (!count_fits(shape->level_entries[0], below, GEAR_MIN_SIZE + 1, GEAR_MAX_SIZE))
        return refuse(LEVELS_AT + 16 * top + 8, err, "there are more or fewer leaves than fit");
    for (uint32_t level = 1; level <= top; level++) {
        below = shape->level_entries[level - 1];
        if (!count_fits(shape->level_entries[level], below, CHUNK_GROUP_MIN, CHUNK_GROUP_MAX) ||
            (level > 1 && below <= CHUNK_GROUP_MAX))
            return refuse(LEVELS_AT + 16 * (top - level) + 8, err,
                          "a level has more or fewer groups than fit");
    }
    if (shape->level_entries[top] > CHUNK_GROUP_MAX)
        return refuse(LEVELS_AT + 8, err, "the top level has at most 256 groups");
    return 0;
}

static int check_zeros(struct span header, size_t at, struct error *err)
{
    for (; at < CHUNK_LIST_HEADER_SIZE; at++) {
        if (header.bytes[at] != 0)
            return refuse(at, err, "the rest of the header is zero");
    }
    return 0;
}

static int check_fixed(struct span header, struct error *err)
{
    if (header.size < CHUNK_LIST_HEADER_SIZE)
        return refuse(header.size, err, "a chunk list has a header of 256 bytes");
    if (memcmp(header.bytes, CHUNK_LIST_MAGIC, 8) != 0)
        return refuse(0, err, "a chunk list begins with " CHUNK_LIST_MAGIC);
    if (bytes_u32(header.bytes + 8) != CHUNK_LIST_HEADER_SIZE)
        return refuse(8, err, "the header's size is 256");
    for (size_t i = 0; i < 4; i++) {
        if (bytes_u32(header.bytes + PARAMETERS_AT + 4 * i) != parameters[i])
            return refuse(PARAMETERS_AT + 4 * i, err, "the chunker's sizes are 4096, 16384, 65536");
    }
    return 0;
}

int chunk_list_shape_of(struct span header, struct chunk_list_shape *out, struct error *err)
{
    struct chunk_list_shape shape = { .size = 0 };
    int r = check_fixed(header, err);

    if (r < 0)
        return r;
    shape.level_count = bytes_u32(header.bytes + 12);
    shape.size = bytes_u64(header.bytes + 48);
    memcpy(shape.sha256.bytes, header.bytes + CHUNK_LIST_BLOB_AT, DIGEST_SIZE);
    if (shape.level_count < 2 || shape.level_count > CHUNK_LIST_MAX_LEVELS)
        return refuse(12, err, "a chunk list has 2 to 5 levels");
    if (shape.size < CHUNK_LIST_MIN_SIZE || shape.size > CHUNK_LIST_MAX_SIZE)
        return refuse(48, err, "blobs from 64 KiB to 64 GiB have a chunk list");
    for (uint32_t i = 0; i < shape.level_count; i++)
        shape.level_entries[shape.level_count - 1 - i] =
            bytes_u64(header.bytes + LEVELS_AT + 16 * i + 8);
    r = check_counts(&shape, err);
    if (r == 0)
        r = check_zeros(header, LEVELS_AT + 16 * shape.level_count, err);
    if (r < 0)
        return r;
    chunk_list_place_levels(&shape);
    for (uint32_t i = 0; i < shape.level_count; i++) {
        if (bytes_u64(header.bytes + LEVELS_AT + 16 * i) !=
            shape.level_offset[shape.level_count - 1 - i])
            return refuse(LEVELS_AT + 16 * i, err, "a level begins where the one above it ends");
    }
    *out = shape;
    return 0;
}

struct span chunk_list_level(const struct chunk_list *list, uint32_t level)
{
    return span_slice(list->object, list->shape.level_offset[level],
                      list->shape.level_entries[level] * chunk_record_size(level));
}

static int check_leaves(const struct chunk_list *list, struct error *err)
{
    struct span leaves = chunk_list_level(list, 0);
    uint64_t left = list->shape.size;

    for (size_t at = 0; at < leaves.size; at += CHUNK_LEAF_SIZE) {
        bool last = at + CHUNK_LEAF_SIZE == leaves.size;
        uint32_t length = bytes_u32(leaves.bytes + at);
        uint64_t offset = list->shape.level_offset[0] + at;
        if (length == 0 || length > GEAR_MAX_SIZE || (!last && length <= GEAR_MIN_SIZE))
            return refuse(offset, err, "a chunk has 4097 to 65536 bytes, the last at least one");
        if (length > left || (last && length != left))
            return refuse(offset, err, "the chunks together are as long as the blob");
        left -= length;
    }
    return 0;
}

/* One group against the records under it: `below` begins with them. */
static int check_group(uint32_t level, const uint8_t *group, struct span below, uint64_t offset,
                       size_t *out_size, struct error *err)
{
    size_t record_size = chunk_record_size(level - 1);
    size_t have = below.size / record_size, entries = bytes_u32(group + 8);
    uint8_t hash[XXH3_SIZE];
    uint64_t bytes = 0;

    if (entries == 0 || entries > CHUNK_GROUP_MAX || entries > have)
        return refuse(offset + 8, err, "a group has 1 to 256 entries of the level below");
    for (size_t i = 0; i < entries; i++) {
        const uint8_t *record = below.bytes + i * record_size;
        bool ends = i + 1 == have || chunk_group_ends(i + 1, record + record_size - XXH3_SIZE);
        if (ends != (i + 1 == entries))
            return refuse(offset + 8, err, "a group ends where its entries' hashes say");
        bytes += chunk_record_bytes(level - 1, record);
    }
    if (bytes_u64(group) != bytes)
        return refuse(offset, err, "a group covers the bytes of its entries");
    xxh3_of(below.bytes, entries * record_size, hash);
    if (memcmp(group + 12, hash, XXH3_SIZE) != 0)
        return refuse(offset + 12, err, "a group's hash is that of its entries");
    *out_size = entries * record_size;
    return 0;
}

/* From the leaves up, so that sums of checked numbers are added only. */
static int check_groups(const struct chunk_list *list, uint32_t level, struct error *err)
{
    struct span groups = chunk_list_level(list, level), below = chunk_list_level(list, level - 1);

    for (size_t at = 0; at < groups.size; at += CHUNK_GROUP_SIZE) {
        size_t size = 0;
        int r = check_group(level, groups.bytes + at, below, list->shape.level_offset[level] + at,
                            &size, err);
        if (r < 0)
            return r;
        below = span_slice(below, size, below.size);
    }
    if (below.size > 0)
        return refuse(list->shape.level_offset[level - 1], err, "every entry is in a group");
    return 0;
}

void chunk_list_set_blob(uint8_t *header, const struct digest *sha256)
{
    memcpy(header + CHUNK_LIST_BLOB_AT, sha256->bytes, DIGEST_SIZE);
}

int chunk_list_open(struct span object, struct chunk_list *out, struct error *err)
{
    struct chunk_list list = { .object = object };
    int r = chunk_list_shape_of(object, &list.shape, err);

    if (r < 0)
        return r;
    if (object.size != list.shape.object_size)
        return refuse(object.size, err, "a chunk list ends with its leaves");
    r = check_leaves(&list, err);
    for (uint32_t level = 1; r == 0 && level < list.shape.level_count; level++)
        r = check_groups(&list, level, err);
    if (r < 0)
        return r;
    *out = list;
    return 0;
}

void chunk_cursor_init(struct chunk_cursor *cursor, const struct chunk_list *list)
{
    *cursor = (struct chunk_cursor){ .list = list };
}

bool chunk_cursor_next(struct chunk_cursor *cursor, struct chunk_leaf *out)
{
    struct span leaves = chunk_list_level(cursor->list, 0);
    const uint8_t *record = leaves.bytes + cursor->index * CHUNK_LEAF_SIZE;

    if (cursor->index == cursor->list->shape.level_entries[0])
        return false;
    *out = (struct chunk_leaf){ .offset = cursor->offset,
                                .length = bytes_u32(record),
                                .index = cursor->index,
                                .record = record };
    cursor->offset += out->length;
    cursor->index++;
    return true;
}
