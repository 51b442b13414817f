/* SPDX-License-Identifier: MIT */
#include "fs/pins/content_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/client/blob_cache.h"
#include "common/model/tree.h"

uint64_t content_mark(const struct digest *name)
{
    return bytes_u64(name->bytes);
}

static int compare_items(const void *a, const void *b)
{
    const struct content_item *one = a, *other = b;

    if (one->mark != other->mark)
        return one->mark < other->mark ? -1 : 1;
    return one->index < other->index ? -1 : one->index > other->index;
}

/* Whether one before it, that begins alike, is the same content. */
static bool is_second(const struct content_set *set, const struct tree *tree,
                      const struct content_item *item)
{
    struct digest name = tree_sha256(tree, item->index);

    for (size_t i = set->count; i > 0 && set->items[i - 1].mark == item->mark; i--) {
        struct digest before = tree_sha256(tree, set->items[i - 1].index);

        if (digest_equal(&before, &name))
            return true;
    }
    return false;
}

static void keep_each_once(struct content_set *set, const struct tree *tree, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct content_item item = set->items[i];

        if (is_second(set, tree, &item))
            continue;
        set->items[set->count++] = item;
        set->bytes += item.size;
    }
}

int content_set_new(const struct tree *tree, const struct digest *tree_digest,
                    struct content_set **out_set, struct error *err)
{
    struct content_set *set = memory_new(sizeof(*set));
    struct content_item *items;
    size_t count = 0;

    items = set != NULL ? memory_array((size_t)tree->header.file_count + 1, sizeof(*items)) : NULL;
    if (items == NULL) {
        memory_free(set);
        return error_set(err, -ENOMEM, "out of memory");
    }
    set->items = items;
    set->tree = *tree_digest;
    set->tree_size = tree->header.image_size;
    for (uint32_t i = 0; i < tree->header.record_count; i++) {
        struct tree_record record = tree_record(tree, i);
        struct digest name;

        if (record.kind != ENTRY_FILE || record.size == 0)
            continue;
        name = tree_sha256(tree, record.digest_index);
        items[count++] =
            (struct content_item){ content_mark(&name), record.size, record.digest_index };
    }
    if (count > 1)
        qsort(items, count, sizeof(*items), compare_items);
    keep_each_once(set, tree, count);
    *out_set = set;
    return 0;
}

int content_set_load(struct blob_cache *cache, const struct digest *tree_digest, uint64_t tree_size,
                     struct content_set **out_set, struct error *err)
{
    struct blob_key key = { BLOB_TREE, *tree_digest, *tree_digest, tree_size };
    cleanup_memory uint8_t *image = NULL;
    struct blob_entry *entry = NULL;
    struct tree tree;
    int r = blob_cache_entry(cache, &key, &entry, err);

    if (r < 0)
        return r;
    if (blob_entry_is_complete(entry)) {
        image = memory_resize(NULL, (size_t)tree_size, 1);
        r = image == NULL ? -ENOMEM : blob_entry_read(entry, 0, image, (size_t)tree_size);
    } else {
        r = -EAGAIN;
    }
    blob_entry_unref(entry);
    if (r < 0)
        return error_set(err, r, "the tree is not in the cache");
    /* It is what its verity digest names: it was checked against the content then. */
    r = tree_open_unhashed(span_of(image, (size_t)tree_size), &tree, err);
    return r < 0 ? r : content_set_new(&tree, tree_digest, out_set, err);
}

struct content_set *content_set_free(struct content_set *set)
{
    if (set != NULL)
        memory_free(set->items);
    return memory_free(set);
}

bool content_set_has(const struct content_set *set, const struct digest *name)
{
    uint64_t mark = content_mark(name);
    size_t low = 0, high = set->count;

    if (digest_equal(&set->tree, name))
        return true;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (set->items[middle].mark < mark)
            low = middle + 1;
        else
            high = middle;
    }
    return low < set->count && set->items[low].mark == mark;
}

int content_sets_bytes(const struct content_set *const *sets, size_t count, uint64_t *out_bytes,
                       struct error *err)
{
    cleanup_memory size_t *at = memory_array(count + 1, sizeof(*at));
    uint64_t bytes = 0;

    if (at == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++)
        bytes += sets[i]->tree_size;
    for (;;) {
        const struct content_item *least = NULL;

        for (size_t i = 0; i < count; i++) {
            const struct content_set *set = sets[i];

            if (at[i] < set->count && (least == NULL || set->items[at[i]].mark < least->mark))
                least = &set->items[at[i]];
        }
        if (least == NULL)
            break;
        bytes += least->size;
        for (size_t i = 0; i < count; i++)
            if (at[i] < sets[i]->count && sets[i]->items[at[i]].mark == least->mark)
                at[i]++;
    }
    *out_bytes = bytes;
    return 0;
}
