/* SPDX-License-Identifier: MIT */
#include "fs/usage/in_use.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"

const char *const in_use_words[] = { "attached", "pinned", "prefetching", "open", "recent", NULL };

void in_use_add(struct in_use *set, const char *project, const char *app, const char *version,
                enum in_use_reason reason)
{
    struct in_use_item item = { .reasons = reason };

    if (!version_names_set(&item.names, project, app, version))
        return;
    if (set->count == set->capacity) {
        size_t capacity = set->capacity * 2 + 16;
        struct in_use_item *grown = memory_resize(set->items, capacity, sizeof(*grown));

        if (grown == NULL) {
            set->has_failed = true;
            return;
        }
        set->items = grown;
        set->capacity = capacity;
    }
    set->items[set->count++] = item;
}

static int compare(const void *left, const void *right)
{
    const struct version_names *a = &((const struct in_use_item *)left)->names;
    const struct version_names *b = &((const struct in_use_item *)right)->names;
    int order = strcmp(a->project, b->project);

    if (order == 0)
        order = strcmp(a->app, b->app);
    return order != 0 ? order : strcmp(a->version, b->version);
}

void in_use_sort(struct in_use *set)
{
    size_t kept = 0;

    if (set->count == 0)
        return;
    qsort(set->items, set->count, sizeof(*set->items), compare);
    for (size_t i = 1; i < set->count; i++) {
        if (compare(&set->items[kept], &set->items[i]) == 0)
            set->items[kept].reasons |= set->items[i].reasons;
        else
            set->items[++kept] = set->items[i];
    }
    set->count = kept + 1;
}

void in_use_release(struct in_use *set)
{
    memory_free(set->items);
    *set = (struct in_use){ 0 };
}
