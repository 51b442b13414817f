/* SPDX-License-Identifier: MIT */
/* The builder of chunk_list.h. */
#include <errno.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/chunk_list.h"
#include "common/model/chunk_list_layout.h"

void chunk_list_builder_init(struct chunk_list_builder *builder, chunk_list_put *put, void *context)
{
    builder->put = put;
    builder->context = context;
    builder->size = 0;
    builder->held = 0;
    for (uint32_t level = 0; level < CHUNK_LIST_MAX_LEVELS; level++) {
        builder->levels[level].count = 0;
        builder->levels[level].held = 0;
        builder->levels[level].examined = 0;
    }
}

/* Up to 256 groups may be the top; the 257th shows that they are not. */
static bool is_grouped(const struct chunk_list_builder *builder, uint32_t level)
{
    return level == 0 || builder->levels[level].count > CHUNK_GROUP_MAX;
}

static int add_record(struct chunk_list_builder *builder, uint32_t level, const uint8_t *record,
                      struct error *err);

/* `entries` records from `first` on are a group: they leave, and it goes up. */
static int close_group(struct chunk_list_builder *builder, uint32_t level, size_t first,
                       size_t entries, struct error *err)
{
    size_t record_size = chunk_record_size(level);
    const uint8_t *records = builder->levels[level].records + first * record_size;
    uint8_t group[CHUNK_GROUP_SIZE];
    uint64_t bytes = 0;
    int r;

    for (size_t i = 0; i < entries; i++)
        bytes += chunk_record_bytes(level, records + i * record_size);
    bytes_set_u64(group, bytes);
    bytes_set_u32(group + 8, (uint32_t)entries);
    xxh3_of(records, entries * record_size, group + 12);
    r = builder->put(builder->context, level, records, entries * record_size, err);
    return r < 0 ? r : add_record(builder, level + 1, group, err);
}

/* Closes the groups that end among the held records; with `last` also the one that is left. */
static int close_groups(struct chunk_list_builder *builder, uint32_t level, bool last,
                        struct error *err)
{
    struct chunk_builder_level *at = &builder->levels[level];
    size_t record_size = chunk_record_size(level), first = 0;
    int r = 0;

    for (size_t i = at->examined; r == 0 && i < at->held; i++) {
        const uint8_t *end = at->records + (i + 1) * record_size;
        if (!chunk_group_ends(i + 1 - first, end - XXH3_SIZE))
            continue;
        r = close_group(builder, level, first, i + 1 - first, err);
        first = i + 1;
    }
    if (r == 0 && last && first < at->held) {
        r = close_group(builder, level, first, at->held - first, err);
        first = at->held;
    }
    if (first > 0)
        memmove(at->records, at->records + first * record_size, (at->held - first) * record_size);
    at->held -= first;
    at->examined = at->held;
    return r;
}

/* The size of the blob bounds the levels: at the top of CHUNK_LIST_MAX_LEVELS there are at most
 * 256. */
static int add_record(struct chunk_list_builder *builder, uint32_t level, const uint8_t *record,
                      struct error *err)
{
    struct chunk_builder_level *at = &builder->levels[level];
    size_t record_size = chunk_record_size(level);

    memcpy(at->records + at->held * record_size, record, record_size);
    at->held++;
    at->count++;
    return is_grouped(builder, level) ? close_groups(builder, level, false, err) : 0;
}

static int add_chunk(struct chunk_list_builder *builder, const uint8_t *bytes, size_t size,
                     struct error *err)
{
    uint8_t leaf[CHUNK_LEAF_SIZE];

    bytes_set_u32(leaf, (uint32_t)size);
    xxh3_of(bytes, size, leaf + 4);
    return add_record(builder, 0, leaf, err);
}

/* Cuts what is held and *rest, in this order, once there are GEAR_MAX_SIZE bytes; what lies in
 * *rest in one piece is cut there, without a copy. *out_cut: a chunk was. */
static int cut_one(struct chunk_list_builder *builder, struct span *rest, bool *out_cut,
                   struct error *err)
{
    size_t before = builder->held, more = GEAR_MAX_SIZE - before, size;
    int r;

    *out_cut = false;
    if (before == 0 && rest->size >= GEAR_MAX_SIZE) {
        size = gear_cut(rest->bytes, rest->size);
        r = add_chunk(builder, rest->bytes, size, err);
        *rest = span_slice(*rest, size, rest->size);
        *out_cut = true;
        return r;
    }
    if (more > rest->size)
        more = rest->size;
    if (more > 0)
        memcpy(builder->bytes + before, rest->bytes, more);
    if (before + more < GEAR_MAX_SIZE) {
        builder->held += more;
        *rest = span_slice(*rest, more, rest->size);
        return 0;
    }
    size = gear_cut(builder->bytes, GEAR_MAX_SIZE);
    r = add_chunk(builder, builder->bytes, size, err);
    *out_cut = true;
    if (size >= before) {
        builder->held = 0;
        *rest = span_slice(*rest, size - before, rest->size);
    } else {
        builder->held = before - size;
        memmove(builder->bytes, builder->bytes + size, builder->held);
    }
    return r;
}

int chunk_list_builder_add(struct chunk_list_builder *builder, const void *bytes, size_t size,
                           struct error *err)
{
    struct span rest = span_of(bytes, size);
    bool cut = true;
    int r = 0;

    if (size > CHUNK_LIST_MAX_SIZE - builder->size)
        return error_set(err, -EFBIG, "a chunk list is of at most 64 GiB");
    builder->size += size;
    while (r == 0 && cut && rest.size > 0)
        r = cut_one(builder, &rest, &cut, err);
    return r;
}

/* What is held is all that is left. */
static int cut_rest(struct chunk_list_builder *builder, struct error *err)
{
    size_t at = 0;
    int r = 0;

    while (r == 0 && at < builder->held) {
        size_t size = gear_cut(builder->bytes + at, builder->held - at);
        r = add_chunk(builder, builder->bytes + at, size, err);
        at += size;
    }
    return r;
}

int chunk_list_builder_end(struct chunk_list_builder *builder, const struct digest *sha256,
                           uint8_t out_header[CHUNK_LIST_HEADER_SIZE], struct error *err)
{
    struct chunk_list_shape shape = { .sha256 = *sha256, .size = builder->size };
    struct chunk_builder_level *top;
    uint32_t level = 0;
    int r;

    if (builder->size < CHUNK_LIST_MIN_SIZE)
        return error_set(err, -EINVAL, "a chunk list is of at least 64 KiB");
    r = cut_rest(builder, err);
    for (; r == 0 && is_grouped(builder, level); level++)
        r = close_groups(builder, level, true, err);
    if (r < 0)
        return r;
    top = &builder->levels[level];
    r = builder->put(builder->context, level, top->records, top->held * CHUNK_GROUP_SIZE, err);
    if (r < 0)
        return r;
    shape.level_count = level + 1;
    for (uint32_t i = 0; i <= level; i++)
        shape.level_entries[i] = builder->levels[i].count;
    chunk_list_place_levels(&shape);
    chunk_list_put_header(&shape, out_header);
    return 0;
}

/* `u64 size, u32 held, bytes, levels x (u64 count, u32 held, records)`. */
void chunk_list_builder_save(const struct chunk_list_builder *builder, struct buf *out)
{
    buf_add_u64(out, builder->size);
    buf_add_u32(out, (uint32_t)builder->held);
    buf_add(out, builder->bytes, builder->held);
    for (uint32_t level = 0; level < CHUNK_LIST_MAX_LEVELS; level++) {
        const struct chunk_builder_level *at = &builder->levels[level];
        buf_add_u64(out, at->count);
        buf_add_u32(out, (uint32_t)at->held);
        buf_add(out, at->records, at->held * chunk_record_size(level));
    }
}

/* Takes `size` bytes off the front; false when there are not as many. */
static bool take(struct span *rest, size_t size, const uint8_t **out)
{
    if (rest->size < size)
        return false;
    *out = rest->bytes;
    *rest = span_slice(*rest, size, rest->size);
    return true;
}

/* `below`: bytes or records that came so far; of each record at least `min` of them are done with.
 * These bounds keep the levels within their number and their room, whatever else is damaged. */
static bool load_level(struct chunk_list_builder *builder, uint32_t level, uint64_t below,
                       uint64_t min, struct span *rest)
{
    struct chunk_builder_level *to = &builder->levels[level];
    const uint8_t *at;

    if (!take(rest, 12, &at))
        return false;
    to->count = bytes_u64(at);
    to->held = bytes_u32(at + 8);
    if (to->count > below / min || to->held > to->count ||
        to->held > (is_grouped(builder, level) ? CHUNK_GROUP_MAX - 1 : CHUNK_GROUP_MAX) ||
        (!is_grouped(builder, level) && to->held != to->count))
        return false;
    to->examined = is_grouped(builder, level) ? to->held : 0;
    if (!take(rest, to->held * chunk_record_size(level), &at))
        return false;
    memcpy(to->records, at, to->held * chunk_record_size(level));
    return true;
}

static bool load(struct chunk_list_builder *builder, struct span rest)
{
    const uint8_t *at;
    uint64_t below, min = GEAR_MIN_SIZE + 1;

    if (!take(&rest, 12, &at))
        return false;
    builder->size = bytes_u64(at);
    builder->held = bytes_u32(at + 8);
    if (builder->size > CHUNK_LIST_MAX_SIZE || builder->held > builder->size ||
        builder->held >= GEAR_MAX_SIZE || !take(&rest, builder->held, &at))
        return false;
    memcpy(builder->bytes, at, builder->held);
    below = builder->size - builder->held;
    for (uint32_t level = 0; level < CHUNK_LIST_MAX_LEVELS; level++) {
        if (!load_level(builder, level, below, min, &rest))
            return false;
        below = builder->levels[level].count - builder->levels[level].held;
        min = CHUNK_GROUP_MIN;
    }
    return rest.size == 0;
}

int chunk_list_builder_load(struct chunk_list_builder *builder, struct span saved,
                            chunk_list_put *put, void *context, struct error *err)
{
    chunk_list_builder_init(builder, put, context);
    if (!load(builder, saved))
        return error_set(err, -EBADMSG, "no saved state of a chunk list");
    return 0;
}

struct chunk_list_spool chunk_list_spool_init(size_t maximum)
{
    struct chunk_list_spool spool;

    for (uint32_t level = 0; level < CHUNK_LIST_MAX_LEVELS; level++)
        spool.levels[level] = buf_init(maximum);
    return spool;
}

void chunk_list_spool_release(struct chunk_list_spool *spool)
{
    for (uint32_t level = 0; level < CHUNK_LIST_MAX_LEVELS; level++)
        buf_release(&spool->levels[level]);
}

int chunk_list_spool_put(void *context, uint32_t level, const void *records, size_t size,
                         struct error *err)
{
    struct chunk_list_spool *spool = context;

    buf_add(&spool->levels[level], records, size);
    return buf_check(&spool->levels[level], err);
}

int chunk_list_spool_write(const struct chunk_list_spool *spool,
                           const uint8_t header[CHUNK_LIST_HEADER_SIZE], const struct sink *sink,
                           struct error *err)
{
    int r = sink_write(sink, header, CHUNK_LIST_HEADER_SIZE, err);

    for (uint32_t level = CHUNK_LIST_MAX_LEVELS; r == 0 && level > 0; level--) {
        const struct buf *records = &spool->levels[level - 1];
        r = sink_write(sink, records->bytes, records->size, err);
    }
    return r;
}

int chunk_list_build(struct span data, const struct digest *sha256, struct buf *out,
                     struct error *err)
{
    cleanup(chunk_list_spool_release) struct chunk_list_spool spool =
        chunk_list_spool_init(BUF_UNLIMITED);
    cleanup_memory struct chunk_list_builder *builder = memory_new(sizeof(*builder));
    struct digest digest = { { 0 } };
    uint8_t header[CHUNK_LIST_HEADER_SIZE];
    struct sink sink = sink_to_buf(out);
    int r;

    if (builder == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    if (sha256 == NULL) {
        digest = digest_of_span(data);
        sha256 = &digest;
    }
    chunk_list_builder_init(builder, chunk_list_spool_put, &spool);
    r = chunk_list_builder_add(builder, data.bytes, data.size, err);
    if (r == 0)
        r = chunk_list_builder_end(builder, sha256, header, err);
    return r < 0 ? r : chunk_list_spool_write(&spool, header, &sink, err);
}
