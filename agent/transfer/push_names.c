/* SPDX-License-Identifier: MIT */
#include "agent/transfer/push_names.h"

#include <string.h>

#include "common/base/error.h"
#include "common/model/listing.h"

int push_names_read(struct span listing, uint64_t size_min, struct push_names *out,
                    struct error *err)
{
    struct buf files = buf_init(BUF_UNLIMITED);
    struct listing_cursor cursor;
    struct entry entry;
    int r = listing_cursor_init(&cursor, listing, err);

    while (r == 0 && (r = listing_cursor_next(&cursor, &entry, err)) > 0) {
        const struct push_name name = { entry.path, entry.sha256, entry.size };

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
    out->files = files;
    return 0;
}

void push_names_release(struct push_names *names)
{
    buf_release(&names->files);
}

static struct span last_name(struct span path)
{
    size_t at = path.size;

    while (at > 0 && path.bytes[at - 1] != '/')
        at--;
    return span_slice(path, at, path.size);
}

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a < b ? b - a : a - b;
}

const struct push_name *push_names_find(const struct push_names *names, struct span path,
                                        uint64_t size)
{
    const struct push_name *all = (const struct push_name *)(const void *)names->files.bytes;
    const struct push_name *best = NULL;
    struct span last = last_name(path);

    for (size_t i = 0; i < names->files.size / sizeof(*all); i++) {
        if (span_equal(all[i].path, path))
            return &all[i];
        if (span_equal(last_name(all[i].path), last) &&
            (best == NULL || distance(all[i].size, size) < distance(best->size, size)))
            best = &all[i];
    }
    return best;
}
