/* SPDX-License-Identifier: MIT */
#include "common/model/entry.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/error.h"

const struct digest entry_empty_sha256 = { { 0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14,
                                             0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
                                             0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c,
                                             0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55 } };

enum file_kind entry_file_kind(enum entry_kind kind)
{
    if (kind == ENTRY_DIRECTORY)
        return FILE_DIRECTORY;
    return kind == ENTRY_FILE ? FILE_REGULAR : FILE_LINK;
}

/* The end of a component sorts before every byte a component can hold. No component holds NUL. */
static int weight(uint8_t c)
{
    return c == '/' ? 0 : c;
}

int entry_compare_paths(struct span a, struct span b)
{
    size_t both = a.size < b.size ? a.size : b.size;
    size_t i = 0;

    while (i < both && a.bytes[i] == b.bytes[i])
        i++;
    if (i < both)
        return weight(a.bytes[i]) - weight(b.bytes[i]);
    return (a.size > b.size) - (a.size < b.size);
}

static int check_file(const struct entry *entry, struct error *err)
{
    bool empty = digest_equal(&entry->sha256, &entry_empty_sha256);

    if (entry->size > ENTRY_MAX_SIZE)
        return error_set(err, -EINVAL, "a file has at most 2^53 - 1 bytes");
    if (empty && entry->size != 0)
        return error_set(err, -EINVAL, "the sha256 of no bytes on a file that has some");
    if (!empty && entry->size == 0)
        return error_set(err, -EINVAL, "an empty file has the sha256 of no bytes");
    return 0;
}

int entry_check(const struct entry *entry, struct error *err)
{
    int r = name_check_path(entry->path, err);

    if (r < 0)
        return r;
    if (entry->mtime > ENTRY_MAX_TIME || entry->mtime < -ENTRY_MAX_TIME)
        return error_set(err, -EINVAL, "a time is within 2^53 - 1 seconds of 1970");
    switch (entry->kind) {
    case ENTRY_LINK:
        if (entry->mode != 0 || entry->mtime != 0)
            return error_set(err, -EINVAL, "a link has no mode and no time");
        return name_check_target(entry->target, err);
    case ENTRY_FILE:
        r = check_file(entry, err);
        break;
    case ENTRY_DIRECTORY:
        break;
    default:
        return error_set(err, -EINVAL, "an entry is a directory, a file or a link");
    }
    if (r == 0 && entry->mode > 0777)
        r = error_set(err, -EINVAL, "a mode is within 0777");
    return r;
}

void entry_order_init(struct entry_order *order)
{
    order->count = order->file_count = 0;
    order->bytes = order->target_bytes = 0;
    order->last_kind = ENTRY_DIRECTORY;
    order->last_size = 0;
}

/* In a pre-order walk the parent is the entry before, or one of its parents. */
static bool parent_is_there(const struct entry_order *order, struct span path)
{
    struct span parent = name_parent(path);

    if (parent.size == 0)
        return true;
    if (order->last_size < parent.size || memcmp(order->last_path, parent.bytes, parent.size) != 0)
        return false;
    if (order->last_size == parent.size)
        return order->last_kind == ENTRY_DIRECTORY;
    return order->last_path[parent.size] == '/';
}

static int check_sums(const struct entry_order *order, const struct entry *entry, struct error *err)
{
    if (order->count >= ENTRY_MAX_COUNT)
        return error_set(err, -EINVAL, "a tree has at most %u entries", ENTRY_MAX_COUNT);
    if (entry->kind == ENTRY_FILE && entry->size > ENTRY_MAX_SIZE - order->bytes)
        return error_set(err, -EINVAL, "all files together have at most 2^53 - 1 bytes");
    if (entry->kind == ENTRY_LINK && entry->target.size > ENTRY_MAX_TARGETS - order->target_bytes)
        return error_set(err, -EINVAL, "all targets together have less than 2^32 bytes");
    return 0;
}

int entry_order_next(struct entry_order *order, const struct entry *entry, struct error *err)
{
    struct span last = { order->last_path, order->last_size };
    int r = entry_check(entry, err);
    int compared;

    if (r < 0)
        return r;
    compared = order->count == 0 ? -1 : entry_compare_paths(last, entry->path);
    if (compared == 0)
        return error_set(err, -EINVAL, "a path stands twice");
    if (compared > 0)
        return error_set(err, -EINVAL, "paths are not in order");
    if (!parent_is_there(order, entry->path))
        return error_set(err, -EINVAL, "the parent is no directory of the tree");
    r = check_sums(order, entry, err);
    if (r < 0)
        return r;
    order->count++;
    if (entry->kind == ENTRY_FILE) {
        order->file_count++;
        order->bytes += entry->size;
    } else if (entry->kind == ENTRY_LINK) {
        order->target_bytes += entry->target.size;
    }
    order->last_kind = entry->kind;
    order->last_size = (uint16_t)entry->path.size;
    memcpy(order->last_path, entry->path.bytes, entry->path.size);
    return 0;
}
