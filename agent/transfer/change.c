/* SPDX-License-Identifier: MIT */
#include "agent/transfer/change.h"

#include <stdlib.h>
#include <string.h>

#include "common/model/entry.h"

struct change_list change_list_init(void)
{
    return (struct change_list){ buf_init(BUF_UNLIMITED), buf_init(BUF_UNLIMITED) };
}

void change_list_release(struct change_list *list)
{
    buf_release(&list->items);
    buf_release(&list->paths);
}

/* Until the end `bytes` is where the path begins in paths, plus one: the buf still moves. */
void change_list_add(struct change_list *list, enum change_kind kind, unsigned what,
                     bool is_directory, struct span path)
{
    struct change change = { kind, what, is_directory,
                             span_of((const void *)(uintptr_t)(list->paths.size + 1), path.size) };

    buf_add_span(&list->paths, path);
    buf_add(&list->items, &change, sizeof(change));
}

static struct change *items_of(const struct change_list *list)
{
    return (struct change *)(void *)list->items.bytes;
}

static int compare(const void *a, const void *b)
{
    const struct change *left = a, *right = b;

    return entry_compare_paths(left->path, right->path);
}

int change_list_end(struct change_list *list, struct error *err)
{
    size_t count = change_list_count(list);
    int r = buf_check(&list->items, err);

    if (r == 0)
        r = buf_check(&list->paths, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++) {
        struct change *change = &items_of(list)[i];
        change->path =
            span_of(list->paths.bytes + (uintptr_t)change->path.bytes - 1, change->path.size);
    }
    if (count > 0)
        qsort(list->items.bytes, count, sizeof(struct change), compare);
    return 0;
}

size_t change_list_count(const struct change_list *list)
{
    return list->items.size / sizeof(struct change);
}

struct change change_list_at(const struct change_list *list, size_t index)
{
    return items_of(list)[index];
}

char change_letter(const struct change *change)
{
    switch (change->kind) {
    case CHANGE_ADDED:
        return 'A';
    case CHANGE_REMOVED:
        return 'D';
    case CHANGE_CHANGED:
        break;
    }
    if ((change->what & CHANGE_TYPE) != 0)
        return 'T';
    return (change->what & (CHANGE_CONTENT | CHANGE_TARGET)) != 0 ? 'M' : 'P';
}

const char *change_name(enum change_kind kind)
{
    static const char *const names[] = { "added", "removed", "changed" };

    return names[kind];
}

const char *change_next_name(unsigned *what)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = { { CHANGE_TYPE, "type" },
                  { CHANGE_CONTENT, "content" },
                  { CHANGE_TARGET, "target" },
                  { CHANGE_MODE, "mode" },
                  { CHANGE_TIME, "time" } };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if ((*what & names[i].bit) != 0) {
            *what &= ~names[i].bit;
            return names[i].name;
        }
    }
    return NULL;
}
