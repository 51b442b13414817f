/* SPDX-License-Identifier: MIT */
#include "common/model/tree.h"

#include <errno.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/model/listing.h"
#include "common/model/times.h"

static const uint8_t *record_at(const struct tree *tree, uint32_t index)
{
    if (index >= tree->header.record_count)
        abort();
    return tree->image.bytes + tree->header.records.offset + (size_t)index * TREE_RECORD_SIZE;
}

static struct span name_at(const struct tree *tree, uint32_t index)
{
    const uint8_t *at = record_at(tree, index);

    return span_of(tree->image.bytes + tree->header.names.offset + bytes_u32(at),
                   bytes_u16(at + 4));
}

static uint32_t parent_at(const struct tree *tree, uint32_t index)
{
    return bytes_u32(record_at(tree, index) + 24);
}

/* Of a directory with children the first, and the record behind the last; else false. */
static bool children_at(const struct tree *tree, uint32_t index, uint32_t *out_first,
                        uint32_t *out_end)
{
    const uint8_t *at = record_at(tree, index);
    uint32_t first = bytes_u32(at + 8), count = bytes_u32(at + 12);

    if (bytes_u16(at + 6) >> 12 != ENTRY_DIRECTORY || count == 0)
        return false;
    *out_first = first;
    *out_end = first + count;
    return true;
}

struct tree_record tree_record(const struct tree *tree, uint32_t index)
{
    const uint8_t *at = record_at(tree, index);
    uint16_t kind = bytes_u16(at + 6);
    uint64_t a = bytes_u64(at + 8);
    struct tree_record record = { .kind = (enum entry_kind)(kind >> 12),
                                  .mode = kind & 0777,
                                  .parent = bytes_u32(at + 24),
                                  .name = name_at(tree, index),
                                  .mtime = (int64_t)bytes_u64(at + 16) };

    if (record.kind == ENTRY_FILE) {
        record.size = a;
        record.digest_index = bytes_u32(at + 28);
    } else if (record.kind == ENTRY_DIRECTORY) {
        record.first_child = (uint32_t)a;
        record.child_count = (uint32_t)(a >> 32);
    } else {
        record.target = span_of(tree->image.bytes + tree->header.targets.offset + (uint32_t)a,
                                (size_t)(a >> 32));
    }
    return record;
}

uint64_t tree_digests_offset(const struct tree *tree, uint32_t digest_index)
{
    return tree->header.digests.offset + (uint64_t)digest_index * TREE_DIGESTS_SIZE;
}

static struct digest digest_at(const struct tree *tree, uint32_t digest_index, size_t part)
{
    struct digest digest;

    if (!tree->whole || digest_index >= tree->header.file_count)
        abort();
    memcpy(digest.bytes, tree->image.bytes + tree_digests_offset(tree, digest_index) + part,
           DIGEST_SIZE);
    return digest;
}

struct digest tree_sha256(const struct tree *tree, uint32_t digest_index)
{
    return digest_at(tree, digest_index, 0);
}

struct digest tree_verity(const struct tree *tree, uint32_t digest_index)
{
    return digest_at(tree, digest_index, DIGEST_SIZE);
}

int tree_find_child(const struct tree *tree, uint32_t parent, struct span name, uint32_t *out_index)
{
    struct tree_record record = tree_record(tree, parent);
    uint32_t low = record.first_child, high = record.first_child + record.child_count;

    if (record.kind != ENTRY_DIRECTORY)
        return -ENOTDIR;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = span_compare(name, name_at(tree, middle));
        if (order == 0) {
            *out_index = middle;
            return 0;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -ENOENT;
}

int tree_find_path(const struct tree *tree, struct span path, uint32_t *out_index)
{
    struct span rest = path, name;
    uint32_t index = TREE_ROOT;

    if (path.size > 0 && path.bytes[path.size - 1] == '/')
        return -ENOENT;
    while (span_cut(&rest, '/', &name)) {
        int r = tree_find_child(tree, index, name, &index);
        if (r < 0)
            return r;
    }
    *out_index = index;
    return 0;
}

static uint32_t by_digest_at(const struct tree *tree, uint32_t rank)
{
    return bytes_u32(tree->image.bytes + tree->header.by_digest.offset + (size_t)rank * 4);
}

int tree_find_sha256(const struct tree *tree, const struct digest *sha256,
                     uint32_t *out_digest_index)
{
    uint32_t low = 0, high = tree->header.file_count;

    if (!tree->whole)
        abort();
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct digest found = tree_sha256(tree, by_digest_at(tree, middle));
        if (digest_compare(&found, sha256) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < tree->header.file_count) {
        uint32_t index = by_digest_at(tree, low);
        struct digest found = tree_sha256(tree, index);
        if (digest_equal(&found, sha256)) {
            *out_digest_index = index;
            return 0;
        }
    }
    return -ENOENT;
}

/* Digest indices grow with the record index; records between files have none and are stepped
 * over. */
uint32_t tree_find_file(const struct tree *tree, uint32_t digest_index)
{
    uint32_t low = 0, high = tree->header.record_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2, file = middle;
        struct tree_record record = tree_record(tree, file);
        while (record.kind != ENTRY_FILE && file + 1 < high)
            record = tree_record(tree, ++file);
        if (record.kind != ENTRY_FILE || record.digest_index > digest_index)
            high = middle;
        else if (record.digest_index == digest_index)
            return file;
        else
            low = file + 1;
    }
    abort();
}

struct span tree_path(const struct tree *tree, uint32_t index, uint8_t out[PATH_MAX_SIZE])
{
    size_t at = PATH_MAX_SIZE;

    while (index != TREE_ROOT) {
        struct span name = name_at(tree, index);
        at -= name.size;
        memcpy(out + at, name.bytes, name.size);
        index = parent_at(tree, index);
        if (index != TREE_ROOT)
            out[--at] = '/';
    }
    memmove(out, out + at, PATH_MAX_SIZE - at);
    return span_of(out, PATH_MAX_SIZE - at);
}

void tree_walk_init(struct tree_walk *walk, const struct tree *tree, uint32_t directory)
{
    tree_walk_resume(walk, tree, directory, directory);
}

void tree_walk_resume(struct tree_walk *walk, const struct tree *tree, uint32_t directory,
                      uint32_t index)
{
    walk->tree = tree;
    walk->top = directory;
    walk->index = index;
    walk->path_size = tree_path(tree, index, walk->path).size;
}

static void path_drop(struct tree_walk *walk)
{
    walk->path_size = name_parent(span_of(walk->path, walk->path_size)).size;
}

static void path_add(struct tree_walk *walk, struct span name)
{
    if (walk->path_size > 0)
        walk->path[walk->path_size++] = '/';
    memcpy(walk->path + walk->path_size, name.bytes, name.size);
    walk->path_size += name.size;
}

/* The record behind `index` and its descendants; false behind the last. */
static bool step_over(struct tree_walk *walk)
{
    while (walk->index != walk->top) {
        uint32_t parent = parent_at(walk->tree, walk->index), first, end = 0;
        children_at(walk->tree, parent, &first, &end);
        path_drop(walk);
        if (walk->index + 1 < end) {
            walk->index++;
            return true;
        }
        walk->index = parent;
    }
    return false;
}

static void give(struct tree_walk *walk, struct entry *out)
{
    struct tree_record record = tree_record(walk->tree, walk->index);

    path_add(walk, record.name);
    *out = (struct entry){ .kind = record.kind,
                           .mode = record.mode,
                           .size = record.size,
                           .path = span_of(walk->path, walk->path_size),
                           .target = record.target,
                           .mtime = record.mtime };
    if (record.kind == ENTRY_FILE && walk->tree->whole)
        out->sha256 = tree_sha256(walk->tree, record.digest_index);
}

#define WALK_ENDED UINT32_MAX /* more than any record index */

bool tree_walk_next(struct tree_walk *walk, struct entry *out)
{
    uint32_t first, end;

    if (walk->index == WALK_ENDED)
        return false;
    if (children_at(walk->tree, walk->index, &first, &end)) {
        walk->index = first;
    } else if (!step_over(walk)) {
        walk->index = WALK_ENDED;
        return false;
    }
    give(walk, out);
    return true;
}

void tree_walk_skip(struct tree_walk *walk)
{
    struct tree_record record;
    uint32_t last;

    if (walk->index == WALK_ENDED)
        return;
    /* Stands on the last descendant, as if all had been given. */
    for (;;) {
        record = tree_record(walk->tree, walk->index);
        if (record.kind != ENTRY_DIRECTORY || record.child_count == 0)
            return;
        last = record.first_child + record.child_count - 1;
        walk->index = last;
        path_add(walk, name_at(walk->tree, last));
    }
}

int tree_write_listing(const struct tree *tree, struct sink sink, struct digest *out_content,
                       struct error *err)
{
    struct listing_writer writer;
    struct listing_totals totals;
    struct tree_walk walk;
    struct entry entry;
    int r;

    if (!tree->whole)
        abort();
    r = listing_writer_init(&writer, sink, err);
    tree_walk_init(&walk, tree, TREE_ROOT);
    while (r == 0 && tree_walk_next(&walk, &entry))
        r = listing_writer_add(&writer, &entry, err);
    if (r == 0)
        r = listing_writer_end(&writer, &totals, err);
    if (r == 0)
        *out_content = totals.content;
    return r;
}

int tree_write_times(const struct tree *tree, struct sink sink, struct digest *out_sha256,
                     struct error *err)
{
    struct times_writer writer;
    struct tree_walk walk;
    struct entry entry;
    int r = times_writer_init(&writer, sink, err);

    tree_walk_init(&walk, tree, TREE_ROOT);
    while (r == 0 && tree_walk_next(&walk, &entry))
        r = times_writer_add(&writer, entry.mtime, err);
    if (r == 0)
        r = times_writer_end(&writer, out_sha256, err);
    return r;
}
