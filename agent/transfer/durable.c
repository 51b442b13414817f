/* SPDX-License-Identifier: MIT */
#include "agent/transfer/durable.h"

#include <errno.h>
#include <string.h>

#include "agent/transfer/pull_plan.h"
#include "agent/transfer/transfer.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/base/volume.h"
#include "common/model/tree.h"

CLEANUP_DEFINE(directory, directory_close);

/* One call for each of more would cost more than to sync what others have written, too. */
#define EACH_MAX 256

struct syncing {
    struct directory *dest;
    const struct tree *tree;
    char path[PATH_MAX_SIZE + 1];
};

static void set_path(struct syncing *syncing, struct span path)
{
    memcpy(syncing->path, path.bytes, path.size);
    syncing->path[path.size] = '\0';
}

/* Windows flushes only what may be written, others sync what may be read. One that may be neither
 * is left to the system. */
static int sync_file(struct syncing *syncing, struct error *err)
{
    cleanup_fd int fd = -1;
    int r = directory_open_write(syncing->dest, syncing->path, &fd, NULL);

    if (r < 0)
        r = directory_open_read(syncing->dest, syncing->path, &fd, NULL);
    return r < 0 ? 0 : file_sync(fd, err);
}

/* The names in the directory above the path. */
static int sync_above(struct syncing *syncing, struct error *err)
{
    cleanup(cleanup_directory) struct directory *above = NULL;
    char *slash = strrchr(syncing->path, '/');

    *(slash != NULL ? slash : syncing->path) = '\0';
    return directory_open_below(syncing->dest, syncing->path, &above, NULL) < 0
               ? 0
               : directory_sync(above, err);
}

static int sync_record(struct syncing *syncing, uint32_t index, struct error *err)
{
    uint8_t room[PATH_MAX_SIZE];
    int r = 0;

    set_path(syncing, tree_path(syncing->tree, index, room));
    if (tree_record(syncing->tree, index).kind == ENTRY_FILE)
        r = sync_file(syncing, err);
    return r < 0 ? r : sync_above(syncing, err);
}

static int sync_list(struct syncing *syncing, const struct buf *indices, struct error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < pull_plan_count(indices); i++)
        r = sync_record(syncing, pull_plan_index(indices, i), err);
    return r;
}

static int sync_removals(struct syncing *syncing, const struct pull_plan *plan, struct error *err)
{
    size_t at = plan->removals.size;
    const char *path;
    unsigned flags;
    int r = 0;

    while (r == 0 && (path = pull_plan_removal(plan, &at, &flags)) != NULL) {
        set_path(syncing, span_text(path));
        r = sync_above(syncing, err);
    }
    return r;
}

static int sync_each(struct syncing *syncing, const struct pull_plan *plan, struct error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < pull_plan_write_count(plan); i++)
        r = sync_record(syncing, pull_plan_write(plan, i)->index, err);
    if (r == 0)
        r = sync_list(syncing, &plan->makes, err);
    if (r == 0)
        r = sync_list(syncing, &plan->links, err);
    if (r == 0)
        r = sync_list(syncing, &plan->touches, err);
    return r < 0 ? r : sync_removals(syncing, plan, err);
}

static bool is_small(const struct pull_plan *plan)
{
    return pull_plan_write_count(plan) + pull_plan_count(&plan->makes) +
               pull_plan_count(&plan->links) + pull_plan_count(&plan->touches) <=
           EACH_MAX;
}

int durable_make(struct transfer *transfer, struct directory *dest, const struct pull_plan *plan,
                 const struct tree *tree, struct error *err)
{
    cleanup_memory struct syncing *syncing = memory_new(sizeof(*syncing));
    int r = is_small(plan) ? -ENOTSUP : volume_sync(dest, err);

    if (syncing == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    *syncing = (struct syncing){ .dest = dest, .tree = tree };
    if (r == -ENOTSUP)
        r = sync_each(syncing, plan, err);
    return transfer_local(transfer, r);
}

/* Of several files of these bytes the one that was staged. */
static int sync_staged(struct transfer *transfer, struct directory *stage,
                       const struct pull_plan *plan, struct error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < pull_plan_write_count(plan); i++) {
        cleanup_fd int fd = -1;
        char name[DIGEST_HEX_SIZE];

        digest_hex(&pull_plan_write(plan, i)->sha256, name);
        r = transfer_stopped(transfer, err);
        if (r == 0)
            r = directory_open_read(stage, name, &fd, err);
        if (r == 0)
            r = file_sync(fd, err);
    }
    return r;
}

int durable_stage(struct transfer *transfer, struct directory *stage, const struct pull_plan *plan,
                  struct error *err)
{
    int r = is_small(plan) ? -ENOTSUP : volume_sync(stage, err);

    if (r == -ENOTSUP)
        r = sync_staged(transfer, stage, plan, err);
    return transfer_local(transfer, r);
}
