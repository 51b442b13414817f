/* SPDX-License-Identifier: MIT */
#include "fs/tree_mount/tree_view.h"

#include <errno.h>

#define OUR_DIRECTORY ".kkartifact"
#define MANIFEST "meta.yaml"
#define LINK_MODE 0777
#define FILE_MODE 0444
#define DIRECTORY_MODE 0755

enum extra { EXTRA_DIRECTORY, EXTRA_INNER, EXTRA_TOP, EXTRA_COUNT };

struct tree_view tree_view_of(const struct tree *tree, uint64_t manifest_size,
                              int64_t manifest_mtime)
{
    struct tree_view view = { .tree = *tree,
                              .manifest_size = manifest_size,
                              .manifest_mtime = manifest_mtime };
    uint32_t own = tree->header.record_count, index;

    view.count = own + EXTRA_TOP;
    if (tree_find_child(tree, TREE_ROOT, span_text(MANIFEST), &index) == -ENOENT)
        view.count = own + EXTRA_COUNT;
    return view;
}

static uint32_t extra_index(const struct tree_view *view, enum extra extra)
{
    return view->tree.header.record_count + extra;
}

static bool shows_top(const struct tree_view *view)
{
    return view->count == extra_index(view, EXTRA_COUNT);
}

/* itself, its name above, and ".." of every directory in it */
static uint32_t directory_links(const struct tree_view *view, const struct tree_record *record,
                                uint64_t index)
{
    uint32_t links = index == TREE_ROOT ? 3 : 2; /* the root has .kkartifact */

    for (uint32_t i = 0; i < record->child_count; i++)
        if (tree_record(&view->tree, record->first_child + i).kind == ENTRY_DIRECTORY)
            links++;
    return links;
}

static void extra_node(const struct tree_view *view, uint64_t index, struct tree_node *out)
{
    bool is_directory = index == extra_index(view, EXTRA_DIRECTORY);

    *out = (struct tree_node){
        .kind = is_directory ? ENTRY_DIRECTORY : ENTRY_FILE,
        .is_manifest = !is_directory,
        .mode = is_directory ? DIRECTORY_MODE : FILE_MODE,
        .link_count = is_directory ? 2 : 1,
        .parent = index == extra_index(view, EXTRA_INNER) ? extra_index(view, EXTRA_DIRECTORY)
                                                          : TREE_ROOT,
        .size = is_directory ? 0 : view->manifest_size,
        .mtime = view->manifest_mtime,
    };
}

int tree_view_node(const struct tree_view *view, uint64_t index, struct tree_node *out)
{
    struct tree_record record;

    if (index >= view->count)
        return -ENOENT;
    if (index >= view->tree.header.record_count) {
        extra_node(view, index, out);
        return 0;
    }
    record = tree_record(&view->tree, (uint32_t)index);
    *out = (struct tree_node){
        .kind = record.kind,
        .mode = record.kind == ENTRY_LINK ? LINK_MODE : record.mode,
        .link_count = record.kind == ENTRY_DIRECTORY ? directory_links(view, &record, index) : 1,
        .parent = record.parent,
        .size = record.kind == ENTRY_LINK ? record.target.size : record.size,
        .mtime = record.mtime,
        .digest_index = record.digest_index,
        .target = record.target,
    };
    return 0;
}

static int find_extra(const struct tree_view *view, uint64_t parent, struct span name,
                      uint64_t *out_index)
{
    bool is_top = parent == TREE_ROOT;

    if (is_top && span_equal_text(name, OUR_DIRECTORY))
        *out_index = extra_index(view, EXTRA_DIRECTORY);
    else if (is_top && shows_top(view) && span_equal_text(name, MANIFEST))
        *out_index = extra_index(view, EXTRA_TOP);
    else if (parent == extra_index(view, EXTRA_DIRECTORY) && span_equal_text(name, MANIFEST))
        *out_index = extra_index(view, EXTRA_INNER);
    else
        return -ENOENT;
    return 0;
}

int tree_view_find(const struct tree_view *view, uint64_t parent, struct span name,
                   uint64_t *out_index)
{
    uint32_t index;
    int r;

    if (parent >= view->count)
        return -ENOENT;
    if (parent > extra_index(view, EXTRA_DIRECTORY))
        return -ENOTDIR;
    if (parent == extra_index(view, EXTRA_DIRECTORY))
        return find_extra(view, parent, name, out_index);
    r = tree_find_child(&view->tree, (uint32_t)parent, name, &index);
    if (r == -ENOENT)
        return find_extra(view, parent, name, out_index);
    if (r == 0)
        *out_index = index;
    return r;
}

static bool extra_child(const struct tree_view *view, uint64_t position, uint64_t *out_index,
                        struct span *out_name)
{
    if (position > 1 || (position == 1 && !shows_top(view)))
        return false;
    *out_index = extra_index(view, position == 0 ? EXTRA_DIRECTORY : EXTRA_TOP);
    *out_name = span_text(position == 0 ? OUR_DIRECTORY : MANIFEST);
    return true;
}

bool tree_view_child(const struct tree_view *view, uint64_t directory, uint64_t position,
                     uint64_t *out_index, struct span *out_name)
{
    struct tree_record record;

    if (directory == extra_index(view, EXTRA_DIRECTORY)) {
        *out_index = extra_index(view, EXTRA_INNER);
        *out_name = span_text(MANIFEST);
        return position == 0;
    }
    if (directory >= view->tree.header.record_count)
        return false;
    record = tree_record(&view->tree, (uint32_t)directory);
    if (record.kind != ENTRY_DIRECTORY)
        return false;
    if (position >= record.child_count)
        return directory == TREE_ROOT &&
               extra_child(view, position - record.child_count, out_index, out_name);
    *out_index = record.first_child + position;
    *out_name = tree_record(&view->tree, (uint32_t)*out_index).name;
    return true;
}
