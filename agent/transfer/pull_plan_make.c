/* SPDX-License-Identifier: MIT */
/* The making of pull_plan.h. */
#include <errno.h>
#include <string.h>

#include "agent/transfer/hasher.h"
#include "agent/transfer/pattern.h"
#include "agent/transfer/pull_planning.h"
#include "agent/transfer/pull_survey.h"
#include "agent/transfer/pulled.h"
#include "agent/transfer/stat_cache.h"
#include "agent/transfer/transfer.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/directory_looker.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/model/problem.h"
#include "common/model/tree.h"

#define BUFFER_SIZE (256 * 1024)

CLEANUP_DEFINE(directory_looker, directory_looker_free);

static void add_index(struct buf *list, uint32_t index)
{
    buf_add(list, &index, sizeof(index));
}

static bool is_absent(const struct planning *planning, struct span path)
{
    return planning->absent.size > 0 && span_starts_with(path, buf_span(&planning->absent));
}

static void set_absent(struct planning *planning, struct span path)
{
    buf_clear(&planning->absent);
    buf_add_span(&planning->absent, path);
    buf_add_byte(&planning->absent, '/');
}

bool planning_protects(const struct planning *planning, struct span path, bool is_directory)
{
    const struct pattern_list *protect = planning->options->protect;

    return protect != NULL && pattern_list_covers(protect, path, is_directory);
}

/* Whether what stands there may go. */
static bool is_ours(const struct planning *planning, struct span path, enum file_kind kind)
{
    return planning->options->extra != NULL ||
           pulled_is_ours(planning->options->pulled, path, kind);
}

static int refuse(struct planning *planning, const char *path, struct error *err)
{
    return transfer_failed(planning->options->transfer,
                           error_set(err, -EEXIST,
                                     "%s: is in the way, and no pull has put it there", path),
                           EXIT_LOCAL);
}

/* What DEST has at a path; *out_there false: nothing. */
static int look(struct planning *planning, const char *path, struct file_info *out, bool *out_there,
                struct error *err)
{
    int r;

    *out_there = false;
    if (is_absent(planning, span_text(path)))
        return 0;
    r = directory_looker_info(planning->looker, path, out, err);
    if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP ||
        r == -EINVAL) /* and names Windows cannot hold */
        return r == -EINVAL ? transfer_local(planning->options->transfer, r) : 0;
    if (r < 0)
        return transfer_local(planning->options->transfer, r);
    *out_there = true;
    return 0;
}

/* A directory of ours that has to go holds only what is ours and not protected. */
struct inside {
    struct planning *planning;
    struct buf path;
};

static int check_inside(void *context, const char *name, enum file_kind kind, struct error *err)
{
    struct inside *inside = context;
    struct planning *planning = inside->planning;
    size_t size = inside->path.size;
    struct file_info info;
    int r;

    buf_format(&inside->path, "/%s", name);
    r = buf_check(&inside->path, err);
    if (r == 0)
        r = directory_info(planning->options->dest, buf_text(&inside->path), &info, err);
    if (r == 0 &&
        (!is_ours(planning, buf_span(&inside->path), info.kind) ||
         planning_protects(planning, buf_span(&inside->path), info.kind == FILE_DIRECTORY)))
        r = refuse(planning, buf_text(&inside->path), err);
    if (r == 0 && info.kind == FILE_DIRECTORY)
        r = directory_list(planning->options->dest, buf_text(&inside->path), check_inside, inside,
                           err);
    inside->path.size = size;
    return r;
}

/* Something of ours of another kind stands where `path` is to be. */
static int plan_clear(struct planning *planning, const char *path, enum file_kind kind,
                      uint32_t index, struct error *err)
{
    struct inside inside = { planning, buf_init(BUF_UNLIMITED) };
    int r = 0;

    if (!is_ours(planning, span_text(path), kind) ||
        planning_protects(planning, span_text(path), kind == FILE_DIRECTORY))
        return refuse(planning, path, err);
    if (kind == FILE_DIRECTORY) {
        buf_add_text(&inside.path, path);
        r = directory_list(planning->options->dest, path, check_inside, &inside, err);
        buf_release(&inside.path);
        buf_add_text(&planning->cleared, path);
        buf_add_byte(&planning->cleared, 0);
    }
    if (r < 0)
        return transfer_local(planning->options->transfer, r);
    planning->plan->delete_count += kind != FILE_DIRECTORY;
    add_index(&planning->plan->clears, index);
    return 0;
}

static bool has_state(const struct file_info *info, const struct entry *entry)
{
    return (info->mode & 0777) == entry->mode && info->mtime_s == entry->mtime;
}

static int plan_directory(struct planning *planning, const char *path, const struct entry *entry,
                          uint32_t index, struct error *err)
{
    struct file_info info;
    bool there;
    int r = look(planning, path, &info, &there, err);

    if (r < 0)
        return r;
    if (there && info.kind == FILE_DIRECTORY) {
        if (!has_state(&info, entry) && !planning_protects(planning, entry->path, true))
            add_index(&planning->plan->settings, index);
        return 0;
    }
    if (there)
        r = plan_clear(planning, path, info.kind, index, err);
    if (r < 0)
        return r;
    add_index(&planning->plan->makes, index);
    if (!is_absent(planning, span_text(path)))
        set_absent(planning, span_text(path));
    return 0;
}

/* What the cache vouches for need not be looked at again when the next one is written. */
static int keep_stamp(struct planning *planning, const struct file_info *info, uint32_t index,
                      struct error *err)
{
    struct pull_plan *plan = planning->plan;

    if (plan->stamps == NULL)
        plan->stamps =
            memory_array(planning->options->tree->header.record_count, sizeof(*plan->stamps));
    if (plan->stamps == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    plan->stamps[index] = stat_stamp(info);
    return 0;
}

enum { HOLDS_CACHED = 2 };

/* Whether the file in DEST holds these bytes: 1, 2 when the cache says so, 0, or an error. */
static int holds(struct planning *planning, const char *path, const struct file_info *info,
                 const struct entry *entry, struct error *err)
{
    const struct pull_plan_options *options = planning->options;
    cleanup_fd int fd = -1;
    struct digest sha256;
    int r;

    if (stat_cache_find(options->cache, entry->path, info, &sha256))
        return digest_equal(&sha256, &entry->sha256) ? HOLDS_CACHED : 0;
    if (info->size != entry->size)
        return 0;
    r = directory_open_read(options->dest, path, &fd, err);
    if (r == -EACCES)
        return 0; /* unreadable: it is written anew if it is ours */
    if (r == 0)
        r = hasher_read(fd, entry->size, planning->buffer, BUFFER_SIZE, options->transfer->stop,
                        &sha256, err);
    if (r == -EIO)
        return 0; /* cut meanwhile, or a bad disk: write it anew */
    if (r < 0)
        return transfer_local(options->transfer, r);
    return digest_equal(&sha256, &entry->sha256);
}

static void add_write(struct planning *planning, const struct entry *entry, uint32_t index)
{
    struct pull_write write = { entry->sha256, index };

    buf_add(&planning->plan->writes, &write, sizeof(write));
    planning->plan->write_bytes += entry->size;
}

static int plan_file(struct planning *planning, const char *path, const struct entry *entry,
                     uint32_t index, struct error *err)
{
    struct file_info info;
    bool there;
    int r = look(planning, path, &info, &there, err);

    if (r < 0)
        return r;
    if (there && planning_protects(planning, entry->path, info.kind == FILE_DIRECTORY))
        return 0;
    if (there && info.kind == FILE_REGULAR) {
        r = holds(planning, path, &info, entry, err);
        if (r < 0)
            return r;
        if (r > 0 && !has_state(&info, entry))
            add_index(&planning->plan->touches, index);
        else if (r == HOLDS_CACHED)
            return keep_stamp(planning, &info, index, err);
        if (r > 0)
            return 0;
    }
    if (there && info.kind == FILE_DIRECTORY)
        r = plan_clear(planning, path, info.kind, index, err);
    else if (there && !is_ours(planning, entry->path, info.kind))
        r = refuse(planning, path, err);
    if (r < 0)
        return r;
    add_write(planning, entry, index);
    return 0;
}

static int plan_link(struct planning *planning, const char *path, const struct entry *entry,
                     uint32_t index, struct error *err)
{
    struct file_info info;
    bool there;
    int r = look(planning, path, &info, &there, err);

    if (r < 0)
        return r;
    if (there && planning_protects(planning, entry->path, info.kind == FILE_DIRECTORY))
        return 0;
    if (there && info.kind == FILE_LINK) {
        cleanup_memory char *target = NULL;
        if (directory_read_link(planning->options->dest, path, &target, NULL) == 0 &&
            span_equal_text(entry->target, target))
            return 0;
    }
    if (there && info.kind == FILE_DIRECTORY)
        r = plan_clear(planning, path, info.kind, index, err);
    else if (there && !is_ours(planning, entry->path, info.kind))
        r = refuse(planning, path, err);
    if (r < 0)
        return r;
    add_index(&planning->plan->links, index);
    return 0;
}

/* Everything that the version has. */
static int plan_entries(struct planning *planning, struct error *err)
{
    cleanup_memory struct tree_walk *walk = memory_new(sizeof(*walk));
    cleanup(buf_release) struct buf path = buf_init(PATH_MAX_SIZE + 1);
    struct entry entry;
    int r = 0;

    if (walk == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    tree_walk_init(walk, planning->options->tree, TREE_ROOT);
    while (r == 0 && tree_walk_next(walk, &entry)) {
        buf_clear(&path);
        buf_add_span(&path, entry.path);
        buf_add_byte(&path, 0);
        r = buf_check(&path, err);
        if (r == 0)
            r = transfer_stopped(planning->options->transfer, err);
        if (r < 0)
            return r;
        if (entry.kind == ENTRY_DIRECTORY)
            r = plan_directory(planning, (const char *)path.bytes, &entry, walk->index, err);
        else if (entry.kind == ENTRY_FILE)
            r = plan_file(planning, (const char *)path.bytes, &entry, walk->index, err);
        else
            r = plan_link(planning, (const char *)path.bytes, &entry, walk->index, err);
    }
    return r;
}

static int make(struct planning *planning, struct error *err)
{
    struct pull_plan *plan = planning->plan;
    int r = plan_entries(planning, err);

    if (r == 0)
        r = buf_check(&planning->absent, err);
    if (r == 0)
        r = buf_check(&planning->cleared, err);
    if (r == 0)
        r = planning_removals(planning, err);
    return r < 0 ? r : pull_plan_end(plan, err);
}

int pull_plan_make(const struct pull_plan_options *options, struct pull_plan *out,
                   struct error *err)
{
    cleanup(pull_plan_release) struct pull_plan plan = pull_plan_init();
    cleanup_memory uint8_t *buffer = memory_new(BUFFER_SIZE);
    cleanup(cleanup_directory_looker) struct directory_looker *looker = NULL;
    struct planning planning = { .options = options,
                                 .plan = &plan,
                                 .absent = buf_init(BUF_UNLIMITED),
                                 .cleared = buf_init(BUF_UNLIMITED),
                                 .buffer = buffer };
    int r;

    if (buffer == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = directory_looker_new(options->dest, &looker, err);
    if (r < 0)
        return r;
    planning.looker = looker;
    r = make(&planning, err);
    buf_release(&planning.absent);
    buf_release(&planning.cleared);
    if (r < 0)
        return r;
    *out = plan;
    plan = (struct pull_plan){ 0 };
    return 0;
}
