/* SPDX-License-Identifier: MIT */
#include "common/model/chunk_list_fetch.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/bytes.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/chunk_index.h"

struct chunk_list_fetch {
    struct chunk_list_shape shape;
    const struct chunk_list *ours;
    uint8_t *object;
    uint32_t level;    /* that of the ranges below */
    size_t missing;    /* of these, still to come */
    struct buf ranges; /* of struct chunk_list_range */
    struct buf given;  /* a byte for each: whether it came */
};

static struct chunk_list_range *ranges_of(const struct chunk_list_fetch *fetch, size_t *out_count)
{
    *out_count = fetch->ranges.size / sizeof(struct chunk_list_range);
    return (struct chunk_list_range *)(void *)fetch->ranges.bytes;
}

/* Ranges that touch are one. */
static void want(struct chunk_list_fetch *fetch, uint64_t offset, uint64_t size)
{
    struct chunk_list_range range = { .offset = offset, .size = size };
    size_t count;
    struct chunk_list_range *ranges = ranges_of(fetch, &count);

    if (count > 0 && ranges[count - 1].offset + ranges[count - 1].size == offset) {
        ranges[count - 1].size += size;
        return;
    }
    buf_add(&fetch->ranges, &range, sizeof(range));
    buf_add_byte(&fetch->given, 0);
    fetch->missing++;
}

static int check_wanted(struct chunk_list_fetch *fetch, struct error *err)
{
    int r = buf_check(&fetch->ranges, err);

    return r < 0 ? r : buf_check(&fetch->given, err);
}

int chunk_list_fetch_new(struct chunk_list_fetch **out_fetch, struct span header,
                         const struct chunk_list *ours, size_t maximum, struct error *err)
{
    struct chunk_list_fetch *fetch;
    struct chunk_list_shape shape;
    int r = chunk_list_shape_of(header, &shape, err);

    if (r < 0)
        return r;
    if (shape.object_size > maximum)
        return error_set(err, -EFBIG, "a chunk list of more than %zu bytes", maximum);
    fetch = memory_new(sizeof(*fetch));
    if (fetch != NULL)
        fetch->object = memory_new(shape.object_size);
    if (fetch == NULL || fetch->object == NULL) {
        memory_free(fetch);
        return error_set(err, -ENOMEM, "out of memory");
    }
    memcpy(fetch->object, header.bytes, CHUNK_LIST_HEADER_SIZE);
    fetch->shape = shape;
    fetch->ours = ours;
    fetch->level = shape.level_count - 1;
    fetch->ranges = buf_init(BUF_UNLIMITED);
    fetch->given = buf_init(BUF_UNLIMITED);
    want(fetch, shape.level_offset[fetch->level],
         shape.level_entries[fetch->level] * CHUNK_GROUP_SIZE);
    r = check_wanted(fetch, err);
    if (r < 0) {
        chunk_list_fetch_free(fetch);
        return r;
    }
    *out_fetch = fetch;
    return 0;
}

struct chunk_list_fetch *chunk_list_fetch_free(struct chunk_list_fetch *fetch)
{
    if (fetch == NULL)
        return NULL;
    buf_release(&fetch->ranges);
    buf_release(&fetch->given);
    memory_free(fetch->object);
    return memory_free(fetch);
}

size_t chunk_list_fetch_wanted(const struct chunk_list_fetch *fetch,
                               const struct chunk_list_range **out_ranges)
{
    size_t count;

    *out_ranges = ranges_of(fetch, &count);
    return fetch->missing == 0 ? 0 : count;
}

/* Where the records of our groups of a level begin in the level below: a prefix sum of entries. */
static int sum_entries(struct span groups, struct buf *out, struct error *err)
{
    uint64_t sum = 0;

    for (size_t at = 0; at < groups.size; at += CHUNK_GROUP_SIZE) {
        buf_add(out, &sum, sizeof(sum));
        sum += bytes_u32(groups.bytes + at + 8);
    }
    return buf_check(out, err);
}

/* The entries of the groups of a level are all of the level below: else the sum below would lead
 * outside. */
static int check_entries(const struct chunk_list_fetch *fetch, struct span groups,
                         struct error *err)
{
    uint64_t sum = 0;

    for (size_t at = 0; at < groups.size; at += CHUNK_GROUP_SIZE) {
        uint32_t entries = bytes_u32(groups.bytes + at + 8);
        if (entries == 0 || entries > CHUNK_GROUP_MAX)
            return error_set(err, -EBADMSG, "offset %llu: a group has 1 to 256 entries",
                             (unsigned long long)(fetch->shape.level_offset[fetch->level] + at));
        sum += entries;
    }
    if (sum != fetch->shape.level_entries[fetch->level - 1])
        return error_set(err, -EBADMSG, "offset %llu: every entry is in a group",
                         (unsigned long long)fetch->shape.level_offset[fetch->level]);
    return 0;
}

/* The records below `groups`: ours where the group is known, else wanted. */
static int fill_below(struct chunk_list_fetch *fetch, struct span groups,
                      const struct chunk_index *index, const struct buf *our_begins,
                      struct error *err)
{
    uint32_t below = fetch->level - 1;
    size_t record_size = chunk_record_size(below);
    uint64_t offset = fetch->shape.level_offset[below];

    for (size_t at = 0; at < groups.size; at += CHUNK_GROUP_SIZE) {
        uint64_t size = bytes_u32(groups.bytes + at + 8) * record_size;
        uint32_t number;
        if (chunk_index_find(index, groups.bytes + at, &number)) {
            uint64_t begin = ((const uint64_t *)(const void *)our_begins->bytes)[number];
            struct span ours = chunk_list_level(fetch->ours, below);
            memcpy(fetch->object + offset, ours.bytes + begin * record_size, size);
        } else {
            want(fetch, offset, size);
        }
        offset += size;
    }
    return check_wanted(fetch, err);
}

/* The level is there: what of the one below is wanted? */
static int next_level(struct chunk_list_fetch *fetch, struct error *err)
{
    cleanup(chunk_index_release) struct chunk_index index = { .slots = NULL };
    cleanup(buf_release) struct buf our_begins = buf_init(BUF_UNLIMITED);
    struct span groups = span_of(fetch->object + fetch->shape.level_offset[fetch->level],
                                 fetch->shape.level_entries[fetch->level] * CHUNK_GROUP_SIZE);
    int r = check_entries(fetch, groups, err);

    buf_clear(&fetch->ranges);
    buf_clear(&fetch->given);
    if (r == 0 && fetch->ours != NULL && fetch->level < fetch->ours->shape.level_count) {
        struct span ours = chunk_list_level(fetch->ours, fetch->level);
        r = sum_entries(ours, &our_begins, err);
        if (r == 0)
            r = chunk_index_init(&index, ours, CHUNK_GROUP_SIZE, err);
    }
    if (r == 0)
        r = fill_below(fetch, groups, &index, &our_begins, err);
    if (r == 0)
        fetch->level--;
    return r;
}

/* The number of the range that begins there; `count` when there is none. */
static size_t find_range(const struct chunk_list_range *ranges, size_t count, uint64_t offset)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ranges[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && ranges[low].offset == offset ? low : count;
}

int chunk_list_fetch_give(struct chunk_list_fetch *fetch, uint64_t offset, struct span bytes,
                          struct error *err)
{
    size_t count;
    struct chunk_list_range *ranges = ranges_of(fetch, &count);
    size_t i = find_range(ranges, count, offset);
    int r = 0;

    if (i == count || fetch->given.bytes[i] != 0 || fetch->missing == 0)
        return error_set(err, -EINVAL, "a range that is not wanted");
    if (bytes.size != ranges[i].size)
        return error_set(err, -EBADMSG, "offset %llu: %zu bytes of a chunk list instead of %llu",
                         (unsigned long long)offset, bytes.size,
                         (unsigned long long)ranges[i].size);
    memcpy(fetch->object + offset, bytes.bytes, bytes.size);
    fetch->given.bytes[i] = 1;
    fetch->missing--;
    while (r == 0 && fetch->missing == 0 && fetch->level > 0)
        r = next_level(fetch, err);
    return r;
}

int chunk_list_fetch_end(const struct chunk_list_fetch *fetch, struct chunk_list *out_list,
                         struct error *err)
{
    if (fetch->missing > 0)
        return error_set(err, -EINVAL, "ranges of the chunk list are still wanted");
    return chunk_list_open(span_of(fetch->object, fetch->shape.object_size), out_list, err);
}
