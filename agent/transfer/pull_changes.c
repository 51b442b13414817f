/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pull_changes.h"

#include <errno.h>
#include <string.h>

#include "agent/transfer/change.h"
#include "agent/transfer/pull_plan.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/model/names.h"
#include "common/model/tree.h"

struct telling {
    const struct tree *tree;
    struct directory *dest;
    struct change_list *list;
    struct map going;     /* paths that are removed */
    const char *inside;   /* one of them that is looked into */
    bool *changes_within; /* of each record: something in this directory is made or removed */
    uint8_t room[PATH_MAX_SIZE];
    char path[PATH_MAX_SIZE + 1];
};

/* An entry that is to be made: added, or in the place of something. */
static void tell_made(struct telling *telling, uint32_t index)
{
    struct tree_record record = tree_record(telling->tree, index);
    struct span path = tree_path(telling->tree, index, telling->room);
    bool is_directory = record.kind == ENTRY_DIRECTORY;
    unsigned what = record.kind == ENTRY_LINK ? CHANGE_TARGET : CHANGE_CONTENT;
    struct file_info info;

    telling->changes_within[record.parent] = true;
    memcpy(telling->path, path.bytes, path.size);
    telling->path[path.size] = '\0';
    if (directory_info(telling->dest, telling->path, &info, NULL) < 0) {
        change_list_add(telling->list, CHANGE_ADDED, 0, is_directory, path);
        return;
    }
    if (info.kind != entry_file_kind(record.kind))
        what = CHANGE_TYPE;
    else if (info.kind == FILE_REGULAR && (info.mode & 0777) != record.mode)
        what |= CHANGE_MODE;
    change_list_add(telling->list, CHANGE_CHANGED, what, is_directory, path);
}

/* Any change within a directory brings a change of its time about, which is then not told. */
static void tell_touched(struct telling *telling, uint32_t index)
{
    struct tree_record record = tree_record(telling->tree, index);
    struct span path = tree_path(telling->tree, index, telling->room);
    bool is_directory = record.kind == ENTRY_DIRECTORY;
    struct file_info info;
    unsigned what = 0;

    memcpy(telling->path, path.bytes, path.size);
    telling->path[path.size] = '\0';
    if (directory_info(telling->dest, telling->path, &info, NULL) == 0) {
        what |= (info.mode & 0777) != record.mode ? CHANGE_MODE : 0;
        what |= info.mtime_s != record.mtime ? CHANGE_TIME : 0;
    }
    if (is_directory && what == CHANGE_TIME &&
        (index == TREE_ROOT || telling->changes_within[index]))
        return;
    change_list_add(telling->list, CHANGE_CHANGED, what, is_directory, path);
}

#define IS_STAYING 1

/* An entry of the directory telling->inside. */
static int look_at_inside(void *context, const char *name, enum file_kind kind, struct error *err)
{
    struct telling *telling = context;
    cleanup(buf_release) struct buf path = buf_init(BUF_UNLIMITED);

    buf_format(&path, "%s/%s", telling->inside, name);
    if (buf_check(&path, err) < 0)
        return -ENOMEM;
    return map_has(&telling->going, buf_span(&path)) ? 0 : IS_STAYING;
}

/* What goes; not a directory with something in it that stays. What is in one comes before it. */
static int tell_removals(struct telling *telling, const struct pull_plan *plan, struct error *err)
{
    size_t at = plan->removals.size;
    const char *path;
    unsigned flags;

    while ((path = pull_plan_removal(plan, &at, &flags)) != NULL) {
        bool is_directory = (flags & REMOVAL_DIRECTORY) != 0;
        uint32_t parent;
        int r = 0;

        telling->inside = path;
        if (is_directory)
            r = directory_list(telling->dest, path, look_at_inside, telling, NULL);
        if (r == IS_STAYING || map_has(&telling->going, span_text(path)))
            continue;
        if (r == -ENOMEM || map_set(&telling->going, span_text(path), telling, NULL) < 0)
            return error_set(err, -ENOMEM, "out of memory");
        if (tree_find_path(telling->tree, name_parent(span_text(path)), &parent) == 0)
            telling->changes_within[parent] = true;
        change_list_add(telling->list, CHANGE_REMOVED, 0, is_directory, span_text(path));
    }
    return 0;
}

static void telling_release(struct telling **at)
{
    if (*at == NULL)
        return;
    map_release(&(*at)->going);
    memory_free((*at)->changes_within);
    memory_free(*at);
}

int pull_changes_add(const struct pull_plan *plan, const struct tree *tree, struct directory *dest,
                     struct change_list *list, struct error *err)
{
    cleanup(telling_release) struct telling *telling = memory_new(sizeof(*telling));
    int r;

    if (telling != NULL)
        telling->changes_within = memory_array(tree->header.record_count, sizeof(bool));
    if (telling == NULL || telling->changes_within == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    telling->tree = tree;
    telling->dest = dest;
    telling->list = list;
    telling->going = map_init();
    r = tell_removals(telling, plan, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < pull_plan_count(&plan->makes); i++)
        tell_made(telling, pull_plan_index(&plan->makes, i));
    for (size_t i = 0; i < pull_plan_write_count(plan); i++)
        tell_made(telling, pull_plan_write(plan, i)->index);
    for (size_t i = 0; i < pull_plan_count(&plan->links); i++)
        tell_made(telling, pull_plan_index(&plan->links, i));
    for (size_t i = 0; i < pull_plan_count(&plan->touches); i++)
        tell_touched(telling, pull_plan_index(&plan->touches, i));
    for (size_t i = 0; i < pull_plan_count(&plan->settings); i++)
        tell_touched(telling, pull_plan_index(&plan->settings, i));
    return 0;
}
