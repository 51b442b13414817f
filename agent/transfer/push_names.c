/* SPDX-License-Identifier: MIT */
#include "agent/transfer/push_names.h"

#include "agent/transfer/likeness.h"
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
    out->files = files;
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

const struct push_name *push_names_find(const struct push_names *names, struct span path,
                                        uint64_t size)
{
    const struct push_name *all = (const struct push_name *)(const void *)names->files.bytes;
    const struct push_name *best = NULL;
    const uint64_t name = likeness_name(path);

    for (size_t i = 0; i < names->files.size / sizeof(*all); i++) {
        if (all[i].name != name)
            continue;
        if (span_equal(all[i].path, path))
            return &all[i];
        if (is_better(&all[i], best, path, size))
            best = &all[i];
    }
    return best;
}
