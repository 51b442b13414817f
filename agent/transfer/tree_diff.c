/* SPDX-License-Identifier: MIT */
#include "agent/transfer/tree_diff.h"

#include <errno.h>
#include <stdbool.h>

#include "agent/transfer/change.h"
#include "agent/transfer/scan.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/entry.h"
#include "common/model/tree.h"

/* One of the two, at its next entry: an image, a scan, or nothing. */
struct side {
    const struct scan *scan;
    size_t index; /* of the scan's next entry */
    struct tree_walk walk;
    struct entry entry;
    bool is_there;
};

static void step(struct side *side)
{
    if (side->scan != NULL) {
        side->is_there = side->index < scan_count(side->scan);
        if (side->is_there)
            side->entry = scan_entry_model(scan_entry_at(side->scan, side->index++));
    } else if (side->walk.tree != NULL) {
        side->is_there = tree_walk_next(&side->walk, &side->entry);
    }
}

static void begin(struct side *side, const struct tree *tree, const struct scan *scan)
{
    side->scan = scan;
    if (tree != NULL)
        tree_walk_init(&side->walk, tree, TREE_ROOT);
    step(side);
}

/* <0: only the left has what comes next; >0: only the right; 0: both. */
static int compare_next(const struct side *left, const struct side *right)
{
    if (!left->is_there || !right->is_there)
        return left->is_there ? -1 : 1;
    return entry_compare_paths(left->entry.path, right->entry.path);
}

static unsigned compare_entries(const struct entry *from, const struct entry *to)
{
    unsigned what = 0;

    if (from->kind != to->kind)
        return CHANGE_TYPE;
    if (from->kind == ENTRY_FILE && !digest_equal(&from->sha256, &to->sha256))
        what |= CHANGE_CONTENT;
    if (from->kind == ENTRY_LINK && !span_equal(from->target, to->target))
        what |= CHANGE_TARGET;
    if (from->mode != to->mode)
        what |= CHANGE_MODE;
    return what;
}

static void add_one(struct change_list *list, enum change_kind kind, const struct entry *entry)
{
    change_list_add(list, kind, 0, entry->kind == ENTRY_DIRECTORY, entry->path);
}

static void add_both(struct change_list *list, const struct entry *from, const struct entry *to)
{
    unsigned what = compare_entries(from, to);

    if (what != 0)
        change_list_add(list, CHANGE_CHANGED, what, to->kind == ENTRY_DIRECTORY, to->path);
}

static void compare(struct side *left, struct side *right, struct change_list *list)
{
    while (left->is_there || right->is_there) {
        int order = compare_next(left, right);
        if (order < 0)
            add_one(list, CHANGE_REMOVED, &left->entry);
        else if (order > 0)
            add_one(list, CHANGE_ADDED, &right->entry);
        else
            add_both(list, &left->entry, &right->entry);
        if (order <= 0)
            step(left);
        if (order >= 0)
            step(right);
    }
}

/* Of `to` and `scan` one is NULL. */
static int diff(const struct tree *from, const struct tree *to, const struct scan *scan,
                struct change_list *list, struct error *err)
{
    cleanup_memory struct side *left = memory_new(sizeof(*left));
    cleanup_memory struct side *right = memory_new(sizeof(*right));

    if (left == NULL || right == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    begin(left, from, NULL);
    begin(right, to, scan);
    compare(left, right, list);
    return 0;
}

int tree_diff(const struct tree *from, const struct tree *to, struct change_list *list,
              struct error *err)
{
    return diff(from, to, NULL, list, err);
}

int tree_diff_scan(const struct tree *from, const struct scan *to, struct change_list *list,
                   struct error *err)
{
    return diff(from, NULL, to, list, err);
}
