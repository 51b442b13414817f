/* SPDX-License-Identifier: MIT */
#include "fs/catalog/catalog_list.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/map.h"
#include "common/base/memory.h"

struct catalog_list {
    atomic_uint references;
    struct catalog_item **by_name; /* both point to the same items */
    struct catalog_item **by_node;
    size_t count, capacity;
    struct map seen; /* while it is filled */
    int64_t changed_ns;
};

struct catalog_list *catalog_list_new(void)
{
    struct catalog_list *list = memory_new(sizeof(*list));

    if (list == NULL)
        return NULL;
    atomic_init(&list->references, 1);
    list->seen = map_init();
    return list;
}

static struct catalog_item *item_free(struct catalog_item *item)
{
    if (item != NULL)
        memory_free(item->name);
    return memory_free(item);
}

static int grow(struct catalog_list *list)
{
    size_t wanted = list->capacity == 0 ? 16 : list->capacity * 2;
    struct catalog_item **grown;

    if (list->count < list->capacity)
        return 0;
    grown = memory_resize(list->by_name, wanted, sizeof(*grown));
    if (grown == NULL)
        return -ENOMEM;
    list->by_name = grown;
    list->capacity = wanted;
    return 0;
}

static struct catalog_item *item_new(const char *name, int64_t created_at_s,
                                     const struct digest *tree)
{
    struct catalog_item *item = memory_new(sizeof(*item));

    if (item == NULL)
        return NULL;
    item->name = memory_text(name);
    if (item->name == NULL)
        return item_free(item);
    item->created_at_s = created_at_s;
    item->is_version = tree != NULL;
    if (tree != NULL)
        item->tree = *tree;
    return item;
}

int catalog_list_add(struct catalog_list *list, const char *name, int64_t created_at_s,
                     const struct digest *tree)
{
    struct catalog_item *item;
    int r;

    if (map_has(&list->seen, span_text(name)))
        return 0;
    r = grow(list);
    if (r < 0)
        return r;
    item = item_new(name, created_at_s, tree);
    if (item == NULL)
        return -ENOMEM;
    r = map_set(&list->seen, span_text(name), item, NULL);
    if (r < 0) {
        item_free(item);
        return r;
    }
    list->by_name[list->count++] = item;
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(struct catalog_item *const *)a)->name,
                  (*(struct catalog_item *const *)b)->name);
}

static int compare_nodes(const void *a, const void *b)
{
    uint64_t left = (*(struct catalog_item *const *)a)->node;
    uint64_t right = (*(struct catalog_item *const *)b)->node;

    return left < right ? -1 : left > right;
}

int catalog_list_seal(struct catalog_list *list, catalog_list_number *number, void *context,
                      int64_t changed_ns)
{
    map_release(&list->seen);
    list->seen = map_init();
    for (size_t i = 0; i < list->count; i++) {
        int r = number(context, list->by_name[i], &list->by_name[i]->node);
        if (r < 0)
            return r;
    }
    list->by_node = memory_array(list->count + 1, sizeof(*list->by_node));
    if (list->by_node == NULL)
        return -ENOMEM;
    list->changed_ns = changed_ns;
    if (list->count == 0)
        return 0;
    memcpy(list->by_node, list->by_name, list->count * sizeof(*list->by_node));
    qsort(list->by_name, list->count, sizeof(*list->by_name), compare_names);
    qsort(list->by_node, list->count, sizeof(*list->by_node), compare_nodes);
    return 0;
}

struct catalog_list *catalog_list_ref(struct catalog_list *list)
{
    atomic_fetch_add(&list->references, 1);
    return list;
}

struct catalog_list *catalog_list_unref(struct catalog_list *list)
{
    if (list == NULL || atomic_fetch_sub(&list->references, 1) != 1)
        return NULL;
    for (size_t i = 0; i < list->count; i++)
        item_free(list->by_name[i]);
    memory_free(list->by_name);
    memory_free(list->by_node);
    map_release(&list->seen);
    return memory_free(list);
}

size_t catalog_list_count(const struct catalog_list *list)
{
    return list->count;
}

int64_t catalog_list_changed_ns(const struct catalog_list *list)
{
    return list->changed_ns;
}

const struct catalog_item *catalog_list_find(const struct catalog_list *list, const char *name)
{
    size_t low = 0, high = list->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(list->by_name[middle]->name, name);
        if (order == 0)
            return list->by_name[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const struct catalog_item *catalog_list_after(const struct catalog_list *list, uint64_t node)
{
    size_t low = 0, high = list->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->by_node[middle]->node <= node)
            low = middle + 1;
        else
            high = middle;
    }
    return low < list->count ? list->by_node[low] : NULL;
}

bool catalog_list_equal(const struct catalog_list *a, const struct catalog_list *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (a->by_node[i]->node != b->by_node[i]->node)
            return false;
    return true;
}
