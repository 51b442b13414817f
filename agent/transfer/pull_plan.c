/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pull_plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/tree.h"

#define REMOVAL 1 /* so that the byte is never a NUL */

struct pull_plan pull_plan_init(void)
{
    return (struct pull_plan){ .makes = buf_init(BUF_UNLIMITED),
                               .clears = buf_init(BUF_UNLIMITED),
                               .links = buf_init(BUF_UNLIMITED),
                               .touches = buf_init(BUF_UNLIMITED),
                               .settings = buf_init(BUF_UNLIMITED),
                               .writes = buf_init(BUF_UNLIMITED),
                               .removals = buf_init(BUF_UNLIMITED) };
}

void pull_plan_release(struct pull_plan *plan)
{
    buf_release(&plan->makes);
    buf_release(&plan->clears);
    buf_release(&plan->links);
    buf_release(&plan->touches);
    buf_release(&plan->settings);
    buf_release(&plan->writes);
    buf_release(&plan->removals);
    plan->stamps = memory_free(plan->stamps);
}

bool pull_plan_is_empty(const struct pull_plan *plan)
{
    return pull_plan_has_all(plan) && plan->settings.size == 0;
}

bool pull_plan_has_all(const struct pull_plan *plan)
{
    return plan->makes.size == 0 && plan->clears.size == 0 && plan->links.size == 0 &&
           plan->touches.size == 0 && plan->writes.size == 0 && plan->removals.size == 0;
}

size_t pull_plan_count(const struct buf *indices)
{
    return indices->size / sizeof(uint32_t);
}

uint32_t pull_plan_index(const struct buf *indices, size_t at)
{
    uint32_t index;

    memcpy(&index, indices->bytes + at * sizeof(index), sizeof(index));
    return index;
}

size_t pull_plan_write_count(const struct pull_plan *plan)
{
    return plan->writes.size / sizeof(struct pull_write);
}

const struct pull_write *pull_plan_write(const struct pull_plan *plan, size_t at)
{
    return (const struct pull_write *)(const void *)plan->writes.bytes + at;
}

static bool is_at_top(const struct tree *tree, uint32_t index)
{
    return tree_record(tree, index).parent == TREE_ROOT;
}

bool pull_plan_changes_top(const struct pull_plan *plan, const struct tree *tree)
{
    const struct buf *const lists[] = { &plan->makes, &plan->clears, &plan->links };
    size_t at = plan->removals.size;
    const char *path;
    unsigned flags;

    for (size_t i = 0; i < pull_plan_write_count(plan); i++) {
        if (is_at_top(tree, pull_plan_write(plan, i)->index))
            return true;
    }
    for (size_t l = 0; l < sizeof(lists) / sizeof(lists[0]); l++) {
        for (size_t i = 0; i < pull_plan_count(lists[l]); i++) {
            if (is_at_top(tree, pull_plan_index(lists[l], i)))
                return true;
        }
    }
    while ((path = pull_plan_removal(plan, &at, &flags)) != NULL) {
        if (strchr(path, '/') == NULL)
            return true;
    }
    return false;
}

static int compare_turns(const void *a, const void *b)
{
    const struct pull_turn *left = a, *right = b;

    return left->index < right->index ? -1 : left->index > right->index;
}

int pull_plan_turns(const struct pull_plan *plan, struct pull_turn **out, struct error *err)
{
    size_t count = pull_plan_write_count(plan);
    struct pull_turn *turns = memory_array(count, sizeof(*turns));

    if (turns == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++)
        turns[i] = (struct pull_turn){ pull_plan_write(plan, i)->index, (uint32_t)i };
    qsort(turns, count, sizeof(*turns), compare_turns);
    *out = turns;
    return 0;
}

uint64_t pull_plan_stamp(const struct pull_plan *plan, uint32_t index)
{
    return plan->stamps != NULL ? plan->stamps[index] : 0;
}

const char *pull_plan_removal(const struct pull_plan *plan, size_t *at, unsigned *out_flags)
{
    const uint8_t *bytes = plan->removals.bytes;
    size_t start;

    if (*at == 0)
        return NULL;
    start = *at - 1; /* the NUL of the last one */
    while (start > 0 && bytes[start - 1] != '\0')
        start--;
    *at = start;
    *out_flags = bytes[start];
    return (const char *)bytes + start + 1;
}

void pull_plan_add_removal(struct pull_plan *plan, struct span path, bool is_directory, bool first)
{
    struct buf *out = &plan->removals;

    plan->delete_count += !is_directory;
    buf_add_byte(out, (uint8_t)(REMOVAL | (first ? REMOVAL_FIRST : 0) |
                                (is_directory ? REMOVAL_DIRECTORY : 0)));
    buf_add_span(out, path);
    buf_add_byte(out, 0);
}

static int compare_writes(const void *a, const void *b)
{
    const struct pull_write *left = a, *right = b;
    int order = digest_compare(&left->sha256, &right->sha256);

    if (order != 0)
        return order;
    return left->index < right->index ? -1 : left->index > right->index;
}

int pull_plan_end(struct pull_plan *plan, struct error *err)
{
    struct buf *const lists[] = { &plan->makes,    &plan->clears, &plan->links,   &plan->touches,
                                  &plan->settings, &plan->writes, &plan->removals };
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof(lists) / sizeof(lists[0]); i++)
        r = buf_check(lists[i], err);
    if (r == 0 && plan->writes.size > 0)
        qsort(plan->writes.bytes, pull_plan_write_count(plan), sizeof(struct pull_write),
              compare_writes);
    return r;
}
