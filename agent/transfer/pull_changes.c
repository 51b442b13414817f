/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pull_changes.h"

#include <errno.h>
#include <string.h>

#include "agent/transfer/change.h"
#include "agent/transfer/pull_plan.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/model/tree.h"

struct telling {
    const struct tree *tree;
    struct directory *dest;
    struct change_list *list;
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
    if (is_directory && what == CHANGE_TIME)
        return; /* any change within brings it about */
    change_list_add(telling->list, CHANGE_CHANGED, what, is_directory, path);
}

int pull_changes_add(const struct pull_plan *plan, const struct tree *tree, struct directory *dest,
                     struct change_list *list, struct error *err)
{
    cleanup_memory struct telling *telling = memory_new(sizeof(*telling));
    size_t at = plan->removals.size;
    const char *path;
    unsigned flags;

    if (telling == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    telling->tree = tree;
    telling->dest = dest;
    telling->list = list;
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
    while ((path = pull_plan_removal(plan, &at, &flags)) != NULL)
        change_list_add(list, CHANGE_REMOVED, 0, (flags & REMOVAL_DIRECTORY) != 0, span_text(path));
    return 0;
}
