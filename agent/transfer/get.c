/* SPDX-License-Identifier: MIT */
#include "agent/transfer/get.h"

#include <errno.h>
#include <string.h>

#include "agent/transfer/get_target.h"
#include "agent/transfer/get_work.h"
#include "agent/transfer/pull_apply.h"
#include "agent/transfer/pull_names.h"
#include "agent/transfer/pull_part.h"
#include "agent/transfer/pull_plan.h"
#include "agent/transfer/pull_space.h"
#include "agent/transfer/pull_stage.h"
#include "agent/transfer/remote_tree.h"
#include "agent/transfer/transfer.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/model/tree.h"

struct getting {
    const struct get_options *options;
    const struct tree *tree;
    struct pull_plan plan;
    struct get_work work;
    char path[PATH_MAX_SIZE + 1];
    struct buf target; /* a path below parent */
    bool fills;        /* the target is a directory that is there */
};

static void getting_release(struct getting *getting)
{
    get_work_release(&getting->work);
    buf_release(&getting->target);
    pull_plan_release(&getting->plan);
}

/* The path of a record in the tree that was made. */
static const char *path_of(struct getting *getting, uint32_t index)
{
    uint8_t room[PATH_MAX_SIZE];
    struct span path = tree_path(getting->tree, index, room);

    memcpy(getting->path, path.bytes, path.size);
    getting->path[path.size] = '\0';
    return getting->path;
}

/* Where an entry goes whose path in the tree is this. */
static const char *target_of(struct getting *getting, struct span path)
{
    uint8_t room[PATH_MAX_SIZE];
    struct span top = tree_path(getting->tree, getting->options->index, room);

    buf_clear(&getting->target);
    buf_add_text(&getting->target, getting->options->name);
    if (path.size > top.size) {
        buf_add_byte(&getting->target, '/');
        buf_add_span(&getting->target,
                     span_slice(path, top.size == 0 ? 0 : top.size + 1, path.size));
    }
    return buf_text(&getting->target);
}

static int check_target(struct getting *getting, struct span path, bool is_directory,
                        bool *out_there, struct error *err)
{
    const char *target = target_of(getting, path);
    int r = buf_check(&getting->target, err);

    *out_there = false;
    return r < 0 ? r
                 : get_target_check(getting->options->parent, target, is_directory, out_there, err);
}

static int check_below(struct getting *getting, struct error *err)
{
    cleanup_memory struct tree_walk *walk = memory_new(sizeof(*walk));
    struct entry entry;
    int r = 0;

    if (walk == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    tree_walk_init(walk, getting->tree, getting->options->index);
    while (r == 0 && tree_walk_next(walk, &entry)) {
        bool there;
        r = check_target(getting, entry.path, entry.kind == ENTRY_DIRECTORY, &there, err);
        if (r == 0 && !there && entry.kind == ENTRY_DIRECTORY)
            tree_walk_skip(walk);
    }
    return r;
}

static int check_targets(struct getting *getting, struct error *err)
{
    uint32_t index = getting->options->index;
    bool is_directory = tree_record(getting->tree, index).kind == ENTRY_DIRECTORY;
    uint8_t room[PATH_MAX_SIZE];
    bool there;
    int r = check_target(getting, tree_path(getting->tree, index, room), is_directory, &there, err);

    getting->fills = is_directory && there;
    if (r == 0 && getting->fills)
        r = check_below(getting, err);
    return transfer_local(getting->options->transfer, r);
}

/* The entry, whole, in the directory beside the target. */
static int make(struct getting *getting, struct error *err)
{
    const struct get_options *options = getting->options;
    const struct record *record = &options->tree->version.record;
    struct pull_stage_options stage = { .transfer = options->transfer,
                                        .dest = getting->work.made,
                                        .stage = getting->work.stage,
                                        .plan = &getting->plan,
                                        .tree = getting->tree,
                                        .project = record->project,
                                        .app = record->app,
                                        .version = record->version };
    struct pull_apply_options apply = { .transfer = options->transfer,
                                        .dest = getting->work.made,
                                        .stage = getting->work.stage,
                                        .plan = &getting->plan,
                                        .tree = getting->tree };
    struct pull_counts counts;
    int r = pull_stage(&stage, err);

    return r < 0 ? r : pull_apply(&apply, &counts, err);
}

/* What lies above the entry may be closed to its owner. */
static int open_above(struct getting *getting, struct error *err)
{
    uint32_t index = getting->options->index;
    int r = 0;

    while (r == 0 && index != TREE_ROOT) {
        index = tree_record(getting->tree, index).parent;
        if (index != TREE_ROOT)
            r = directory_set_mode(getting->work.made, path_of(getting, index), 0700, err);
    }
    return r;
}

/* A directory that is moved must be open to its owner, too; its mode and time are set again. */
static int move_directory(struct getting *getting, uint32_t index, const char *target,
                          struct error *err)
{
    struct tree_record record = tree_record(getting->tree, index);
    struct directory *parent = getting->options->parent;
    cleanup(buf_release) struct buf from = buf_init(BUF_UNLIMITED);
    int r;

    buf_format(&from, "%s/" GET_WORK_TREE, buf_text(&getting->work.name));
    if (index != TREE_ROOT)
        buf_format(&from, "/%s", path_of(getting, index));
    r = buf_check(&from, err);
    if (r == 0)
        r = directory_set_mode(parent, buf_text(&from), record.mode | 0700, err);
    if (r == 0)
        r = directory_rename(parent, buf_text(&from), parent, target, err);
    if (r == 0 && index != TREE_ROOT)
        r = directory_set_mtime(parent, target, record.mtime, err);
    return r < 0 ? r : directory_set_mode(parent, target, record.mode, err);
}

static int move_one(struct getting *getting, uint32_t index, const char *target, struct error *err)
{
    if (tree_record(getting->tree, index).kind == ENTRY_DIRECTORY)
        return move_directory(getting, index, target, err);
    return directory_rename(getting->work.made, path_of(getting, index), getting->options->parent,
                            target, err);
}

/* A directory that is there gets what it lacks, and new files in the place of old ones. */
static int fill(struct getting *getting, struct error *err)
{
    cleanup_memory struct tree_walk *walk = memory_new(sizeof(*walk));
    struct entry entry;
    int r = 0;

    if (walk == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    tree_walk_init(walk, getting->tree, getting->options->index);
    while (r == 0 && tree_walk_next(walk, &entry)) {
        bool is_directory = entry.kind == ENTRY_DIRECTORY, there;
        r = check_target(getting, entry.path, is_directory, &there, err);
        if (r < 0 || (is_directory && there)) {
            if (r == 0)
                r = directory_set_mode(getting->work.made, path_of(getting, walk->index), 0700,
                                       err);
            continue;
        }
        r = move_one(getting, walk->index, buf_text(&getting->target), err);
        if (is_directory)
            tree_walk_skip(walk);
    }
    return r;
}

static int place(struct getting *getting, struct error *err)
{
    uint32_t index = getting->options->index;
    int r = open_above(getting, err);

    if (r == 0 && getting->fills && index != TREE_ROOT)
        r = directory_set_mode(getting->work.made, path_of(getting, index), 0700, err);
    if (r == 0 && getting->fills)
        r = fill(getting, err);
    else if (r == 0)
        r = move_one(getting, index, getting->options->name, err);
    return transfer_local(getting->options->transfer, r);
}

static int run(struct getting *getting, struct error *err)
{
    const struct get_options *options = getting->options;
    struct pull_space_need need;
    int r = check_targets(getting, err);

    get_work_sweep(options->parent);
    if (r == 0)
        r = pull_names_check(options->transfer, options->parent, getting->tree, options->index,
                             err);
    if (r == 0)
        r = pull_part_make(getting->tree, options->index, &getting->plan, err);
    if (r < 0)
        return r;
    need = pull_space_need(&getting->plan, getting->tree, NULL, true);
    r = pull_space_check(options->transfer, options->parent, NULL, &getting->plan, &need, err);
    if (r == 0)
        r = transfer_local(options->transfer, get_work_make(&getting->work, err));
    if (r == 0)
        r = make(getting, err);
    return r < 0 ? r : place(getting, err);
}

int get_run(const struct get_options *options, struct get_result *out, struct error *err)
{
    struct getting *getting = memory_new(sizeof(*getting));
    int r;

    if (getting == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    getting->options = options;
    getting->tree = &options->tree->image.tree;
    getting->target = buf_init(BUF_UNLIMITED);
    getting->work = get_work_init(options->parent);
    r = run(getting, err);
    if (r == 0)
        *out =
            (struct get_result){ pull_plan_write_count(&getting->plan), getting->plan.write_bytes };
    getting_release(getting);
    memory_free(getting);
    return r;
}
