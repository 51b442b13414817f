/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pull_apply.h"

#include <errno.h>
#include <string.h>

#include "agent/transfer/pattern.h"
#include "agent/transfer/pull_plan.h"
#include "agent/transfer/stat_cache.h"
#include "agent/transfer/transfer.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/directory.h"
#include "common/base/directory_looker.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/client/api_client.h"
#include "common/model/tree.h"
#include "common/net/http_loop.h"

#define LARGE_SIZE ((uint64_t)16 << 20)

CLEANUP_DEFINE(directory_looker, directory_looker_free);
CLEANUP_DEFINE(stat_cache_writer, stat_cache_writer_free);

struct applying {
    const struct pull_apply_options *options;
    struct pull_counts counts;
    uint64_t large_ms;               /* when the last large file got its name; 0: there was none */
    struct directory_looker *looker; /* while files get their names */
    char path[PATH_MAX_SIZE + 1];
};

/* The path of a record, terminated. */
static const char *path_of(struct applying *applying, uint32_t index)
{
    uint8_t room[PATH_MAX_SIZE];
    struct span path = tree_path(applying->options->tree, index, room);

    memcpy(applying->path, path.bytes, path.size);
    applying->path[path.size] = '\0';
    return applying->path;
}

/* A parent that its owner may not write to is opened; its mode is set right at the end. */
static bool open_parent(struct applying *applying, const char *path)
{
    cleanup(buf_release) struct buf parent = buf_init(BUF_UNLIMITED);
    const char *slash = strrchr(path, '/');
    struct file_info info;

    if (slash == NULL)
        return false;
    buf_add(&parent, path, (size_t)(slash - path));
    return buf_check(&parent, NULL) == 0 &&
           directory_info(applying->options->dest, buf_text(&parent), &info, NULL) == 0 &&
           directory_set_mode(applying->options->dest, buf_text(&parent), (info.mode & 0777) | 0700,
                              NULL) == 0;
}

static int remove_entry(struct applying *applying, const char *path, struct error *err)
{
    struct directory *dest = applying->options->dest;
    struct file_info info;
    int r = directory_info(dest, path, &info, NULL);

    if (r < 0)
        return 0; /* gone, or behind something that is not ours */
    if (info.kind == FILE_DIRECTORY) {
        r = directory_remove_empty(dest, path, err);
        if (r == -EACCES && open_parent(applying, path))
            r = directory_remove_empty(dest, path, err);
        return r == -ENOTEMPTY || r == -EEXIST || r == -ENOENT ? 0 : r;
    }
    r = directory_remove_file(dest, path, err);
    if (r == -EACCES && open_parent(applying, path))
        r = directory_remove_file(dest, path, err);
    if (r == 0)
        applying->counts.deleted_files++;
    return r == -ENOENT ? 0 : r;
}

static int apply_removals(struct applying *applying, bool first, struct error *err)
{
    const struct pull_plan *plan = applying->options->plan;
    size_t at = plan->removals.size;
    const char *path;
    unsigned flags;
    int r = 0;

    while (r == 0 && (path = pull_plan_removal(plan, &at, &flags)) != NULL) {
        if (((flags & REMOVAL_FIRST) != 0) == first)
            r = remove_entry(applying, path, err);
    }
    return r;
}

/* Something of ours of another kind. */
static int apply_clears(struct applying *applying, struct error *err)
{
    const struct pull_plan *plan = applying->options->plan;
    int r = 0;

    for (size_t i = 0; r == 0 && i < pull_plan_count(&plan->clears); i++)
        r = remove_entry(applying, path_of(applying, pull_plan_index(&plan->clears, i)), err);
    return r;
}

static int apply_makes(struct applying *applying, struct error *err)
{
    const struct pull_plan *plan = applying->options->plan;
    struct directory *dest = applying->options->dest;
    int r = 0;

    for (size_t i = 0; r == 0 && i < pull_plan_count(&plan->makes); i++) {
        const char *path = path_of(applying, pull_plan_index(&plan->makes, i));
        r = directory_make(dest, path, 0700, err);
        if (r == -EACCES && open_parent(applying, path))
            r = directory_make(dest, path, 0700, err);
    }
    return r;
}

static int set_state(struct directory *at, const char *path, const struct tree_record *record,
                     const struct file_info *info, struct error *err)
{
    int r = 0;

    if ((info->mode & 0777) != record->mode)
        r = directory_set_mode(at, path, record->mode, err);
    if (r == 0 && info->mtime_s != record->mtime)
        r = directory_set_mtime(at, path, record->mtime, err);
    return r;
}

/* One staged file, with mode and time (which whoever made it may have given it), under its name. */
static int place(struct applying *applying, const char *staged, uint32_t index, struct error *err)
{
    const struct pull_apply_options *options = applying->options;
    struct tree_record record = tree_record(options->tree, index);
    const char *path = path_of(applying, index);
    struct looker_spot spot;
    struct file_info info;
    int r = directory_looker_spot(applying->looker, path, &spot, err);

    if (r == 0)
        r = directory_info(options->stage, staged, &info, err);
    if (r == 0)
        r = set_state(options->stage, staged, &record, &info, err);
    if (r == 0)
        r = directory_rename(options->stage, staged, spot.at, spot.name, err);
    if (r == -EACCES && open_parent(applying, path))
        r = directory_rename(options->stage, staged, options->dest, path, err);
    if (r < 0)
        return r;
    applying->counts.written_files++;
    if (record.size >= LARGE_SIZE)
        applying->large_ms = clock_monotonic_ms();
    transfer_done(options->transfer, 1, record.size);
    return 0;
}

/* A second file of the same bytes. */
static int place_copy(struct applying *applying, const char *staged, uint32_t index,
                      struct error *err)
{
    const struct pull_apply_options *options = applying->options;
    cleanup_fd int from = -1, to = -1;
    int r = directory_open_read(options->stage, staged, &from, err);

    directory_remove_file(options->stage, "copy", NULL);
    if (r == 0)
        r = directory_create(options->stage, "copy", 0600, &to, err);
    if (r == 0)
        r = file_copy(from, to, tree_record(options->tree, index).size, err);
    if (r == 0 && options->in_use)
        r = file_sync(to, err);
    cleanup_fd_at(&to);
    return r < 0 ? r : place(applying, "copy", index, err);
}

/* Whether it is the one of its digest that comes last, in the order of the tree too. */
static bool is_last_of_digest(const struct pull_plan *plan, size_t at)
{
    return at + 1 == pull_plan_write_count(plan) ||
           !digest_equal(&pull_plan_write(plan, at)->sha256,
                         &pull_plan_write(plan, at + 1)->sha256);
}

static int apply_write(struct applying *applying, size_t at, struct error *err)
{
    const struct pull_plan *plan = applying->options->plan;
    const struct pull_write *write = pull_plan_write(plan, at);
    char staged[DIGEST_HEX_SIZE];

    digest_hex(&write->sha256, staged);
    return is_last_of_digest(plan, at) ? place(applying, staged, write->index, err)
                                       : place_copy(applying, staged, write->index, err);
}

/* The files of a directory one after the other: each directory is opened once. */
static int apply_writes(struct applying *applying, struct error *err)
{
    cleanup(cleanup_directory_looker) struct directory_looker *looker = NULL;
    cleanup_memory struct pull_turn *turns = NULL;
    size_t count = pull_plan_write_count(applying->options->plan);
    int r = pull_plan_turns(applying->options->plan, &turns, err);

    if (r == 0)
        r = directory_looker_new(applying->options->dest, &looker, err);
    applying->looker = looker;
    for (size_t i = 0; r == 0 && i < count; i++) {
        /* Once programs can see a part of the new version they are not left with that. */
        if (!applying->options->in_use)
            r = transfer_stopped(applying->options->transfer, err);
        if (r == 0)
            r = apply_write(applying, turns[i].write, err);
    }
    applying->looker = NULL;
    return r;
}

static int make_link(struct applying *applying, uint32_t index, struct error *err)
{
    const struct pull_apply_options *options = applying->options;
    struct span target = tree_record(options->tree, index).target;
    cleanup(buf_release) struct buf text = buf_init(BUF_UNLIMITED);
    const char *path = path_of(applying, index);
    int r;

    buf_add_span(&text, target);
    r = buf_check(&text, err);
    if (r < 0)
        return r;
    directory_remove_file(options->stage, "link", NULL);
    r = directory_make_link(options->stage, buf_text(&text), "link", err);
    if (r == 0)
        r = directory_rename(options->stage, "link", options->dest, path, err);
    if (r == -EACCES && open_parent(applying, path))
        r = directory_rename(options->stage, "link", options->dest, path, err);
    if (r == 0)
        applying->counts.written_files++;
    return r;
}

static int apply_links(struct applying *applying, struct error *err)
{
    const struct pull_plan *plan = applying->options->plan;
    int r = 0;

    for (size_t i = 0; r == 0 && i < pull_plan_count(&plan->links); i++)
        r = make_link(applying, pull_plan_index(&plan->links, i), err);
    return r;
}

static int apply_touches(struct applying *applying, struct error *err)
{
    const struct pull_plan *plan = applying->options->plan;
    int r = 0;

    for (size_t i = 0; r == 0 && i < pull_plan_count(&plan->touches); i++) {
        uint32_t index = pull_plan_index(&plan->touches, i);
        struct tree_record record = tree_record(applying->options->tree, index);
        const char *path = path_of(applying, index);
        struct file_info info;
        r = directory_info(applying->options->dest, path, &info, err);
        if (r == 0 && info.kind == FILE_REGULAR)
            r = set_state(applying->options->dest, path, &record, &info, err);
    }
    return r;
}

static bool is_protected(const struct applying *applying, struct span path, bool is_directory)
{
    const struct pattern_list *protect = applying->options->protect;

    return protect != NULL && pattern_list_covers(protect, path, is_directory);
}

static bool never(void *context)
{
    return false;
}

/* A file that got its name just now would not be believed, and read again by the next pull: of a
 * large one that takes longer than to let the moment pass. */
static void let_large_files_settle(struct applying *applying)
{
    uint64_t until = applying->large_ms + STAT_CACHE_GRAIN_MS;

    if (applying->large_ms != 0 && clock_monotonic_ms() < until)
        http_loop_run_until(api_client_loop(applying->options->transfer->client), never, NULL,
                            until, NULL);
}

/* The stamp of a file as it is now; 0 when it is not what was put there. */
static uint64_t look(struct applying *applying, struct directory_looker *looker,
                     const struct entry *entry)
{
    struct file_info info;

    memcpy(applying->path, entry->path.bytes, entry->path.size);
    applying->path[entry->path.size] = '\0';
    if (directory_looker_info(looker, applying->path, &info, NULL) < 0 ||
        info.kind != FILE_REGULAR || info.size != entry->size || info.mtime_s != entry->mtime)
        return 0;
    return stat_stamp(&info);
}

static int note_file(struct applying *applying, struct directory_looker *looker, uint32_t index,
                     const struct entry *entry, struct stat_cache_writer *writer)
{
    uint64_t stamp = pull_plan_stamp(applying->options->plan, index);

    if (is_protected(applying, entry->path, false))
        return 0;
    if (stamp == 0)
        stamp = look(applying, looker, entry);
    return stamp == 0 ? 0 : stat_cache_writer_add(writer, entry->path, stamp, &entry->sha256, NULL);
}

/* What the files hold now, for the next pull. Failing to note it is no failure. */
static void note_files(struct applying *applying)
{
    const struct pull_apply_options *options = applying->options;
    cleanup(cleanup_stat_cache_writer) struct stat_cache_writer *writer = NULL;
    cleanup(cleanup_directory_looker) struct directory_looker *looker = NULL;
    cleanup_memory struct tree_walk *walk = memory_new(sizeof(*walk));
    struct entry entry;
    int r;

    let_large_files_settle(applying);
    r = walk == NULL ? -ENOMEM : stat_cache_writer_new(options->home, "stat", &writer, NULL);
    if (r == 0)
        r = directory_looker_new(options->dest, &looker, NULL);
    if (r < 0)
        return;
    tree_walk_init(walk, options->tree, TREE_ROOT);
    while (r == 0 && tree_walk_next(walk, &entry)) {
        if (entry.kind == ENTRY_FILE)
            r = note_file(applying, looker, walk->index, &entry, writer);
    }
    if (r == 0)
        stat_cache_writer_end(writer, NULL);
}

static int set_directory(struct applying *applying, struct directory_looker *looker, uint32_t index,
                         struct error *err)
{
    struct tree_record record = tree_record(applying->options->tree, index);
    const char *path = path_of(applying, index);
    struct file_info info;
    int r = directory_looker_info(looker, path, &info, err);

    if (r == -ENOENT)
        return 0; /* the plan was for a part of the tree */
    return r < 0 || info.kind != FILE_DIRECTORY
               ? r
               : set_state(applying->options->dest, path, &record, &info, err);
}

/* What is protected is never touched once it is there; before, it is the version's. */
static int set_new_protected(struct applying *applying, struct directory_looker *looker,
                             struct error *err)
{
    const struct buf *makes = &applying->options->plan->makes;
    int r = 0;

    for (size_t i = pull_plan_count(makes); r == 0 && i-- > 0;) {
        uint32_t index = pull_plan_index(makes, i);

        if (is_protected(applying, span_text(path_of(applying, index)), true))
            r = set_directory(applying, looker, index, err);
    }
    return r;
}

/* From the deepest up: a directory that may not be entered comes after what is in it. */
static int set_directories(struct applying *applying, struct error *err)
{
    cleanup(cleanup_directory_looker) struct directory_looker *looker = NULL;
    const struct tree *tree = applying->options->tree;
    int r = directory_looker_new(applying->options->dest, &looker, err);

    if (r == 0)
        r = set_new_protected(applying, looker, err);
    for (uint32_t index = tree->header.record_count; r == 0 && index-- > 1;) {
        if (tree_record(tree, index).kind == ENTRY_DIRECTORY &&
            !is_protected(applying, span_text(path_of(applying, index)), true))
            r = set_directory(applying, looker, index, err);
    }
    return r;
}

int pull_apply(const struct pull_apply_options *options, struct pull_counts *out, struct error *err)
{
    cleanup_memory struct applying *applying = memory_new(sizeof(*applying));
    int r;

    if (applying == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    applying->options = options;
    transfer_meter(options->transfer, METER_WRITING, pull_plan_write_count(options->plan),
                   options->plan->write_bytes);
    r = apply_removals(applying, true, err);
    if (r == 0)
        r = apply_clears(applying, err);
    if (r == 0)
        r = apply_makes(applying, err);
    if (r == 0)
        r = apply_writes(applying, err);
    if (r == 0)
        r = apply_links(applying, err);
    if (r == 0)
        r = apply_removals(applying, false, err);
    if (r == 0)
        r = apply_touches(applying, err);
    if (r < 0)
        return transfer_local(options->transfer, r);
    if (options->home != NULL)
        note_files(applying);
    r = set_directories(applying, err);
    if (r == 0)
        *out = applying->counts;
    return transfer_local(options->transfer, r);
}
