/* SPDX-License-Identifier: MIT */
#include "agent/transfer/push_names.h"

#include <stdlib.h>

#include "agent/transfer/likeness.h"
#include "common/base/error.h"
#include "common/model/listing.h"

static const struct push_name *all(const struct push_names *names, size_t *out_count)
{
    *out_count = names->files.size / sizeof(struct push_name);
    return (const struct push_name *)(const void *)names->files.bytes;
}

static int compare(const void *a, const void *b)
{
    const struct push_name *left = a, *right = b;

    if (left->name != right->name)
        return left->name < right->name ? -1 : 1;
    return span_compare(left->path, right->path);
}

int push_names_read(struct span listing, uint64_t size_min, struct push_names *out,
                    struct error *err)
{
    struct buf files = buf_init(BUF_UNLIMITED);
    struct listing_cursor cursor;
    struct entry entry;
    int r = listing_cursor_init(&cursor, listing, err);

    while (r == 0 && (r = listing_cursor_next(&cursor, &entry, err)) > 0) {
        const struct push_name name = { entry.path, entry.sha256, entry.size,
                                        likeness_name(entry.path) };

        r = 0;
        if (entry.kind == ENTRY_FILE && entry.size >= size_min)
            buf_add(&files, &name, sizeof(name));
    }
    if (r == 0)
        r = buf_check(&files, err);
    if (r < 0) {
        buf_release(&files);
        return r;
    }
    if (files.size > 0)
        qsort(files.bytes, files.size / sizeof(struct push_name), sizeof(struct push_name),
              compare);
    *out = (struct push_names){ files, PUSH_NAMES_COMPARISONS };
    return 0;
}

void push_names_release(struct push_names *names)
{
    buf_release(&names->files);
}

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a < b ? b - a : a - b;
}

/* Whether a is better than b (NULL: nothing) for a file of that path and size. */
static bool is_better(const struct push_name *a, const struct push_name *b, struct span path,
                      uint64_t size)
{
    uint32_t like_a, like_b;

    if (b == NULL)
        return true;
    like_a = likeness_of(a->path, path);
    like_b = likeness_of(b->path, path);
    return like_a != like_b ? like_a > like_b : distance(a->size, size) < distance(b->size, size);
}

/* The first one that does not stand before the key. */
static size_t first_at(const struct push_name *files, size_t count, const struct push_name *key)
{
    size_t low = 0;

    while (low < count) {
        size_t middle = low + (count - low) / 2;

        if (compare(&files[middle], key) < 0)
            low = middle + 1;
        else
            count = middle;
    }
    return low;
}

const struct push_name *push_names_find(struct push_names *names, struct span path, uint64_t size)
{
    struct push_name key = { .path = path, .name = likeness_name(path) };
    const struct push_name *files, *best = NULL;
    size_t count, at;

    files = all(names, &count);
    at = first_at(files, count, &key);
    if (at < count && compare(&files[at], &key) == 0)
        return &files[at];
    key.path = span_of(NULL, 0);
    for (at = first_at(files, count, &key);
         at < count && files[at].name == key.name && names->comparisons > 0; at++) {
        names->comparisons--;
        if (is_better(&files[at], best, path, size))
            best = &files[at];
    }
    return best;
}
