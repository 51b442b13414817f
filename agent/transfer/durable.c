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
#include "common/base/volume.h"
#include "common/model/tree.h"

CLEANUP_DEFINE(directory, directory_close);

static void path_of(const struct tree *tree, uint32_t index, char out[PATH_MAX_SIZE + 1])
{
    uint8_t room[PATH_MAX_SIZE];
    struct span path = tree_path(tree, index, room);

    memcpy(out, path.bytes, path.size);
    out[path.size] = '\0';
}

/* Windows flushes only what may be written, others sync what may be read. One that may be neither
 * is left to the system. */
static int sync_file(struct directory *dest, const char *path, struct error *err)
{
    cleanup_fd int fd = -1;
    int r = directory_open_write(dest, path, &fd, NULL);

    if (r < 0)
        r = directory_open_read(dest, path, &fd, NULL);
    return r < 0 ? 0 : file_sync(fd, err);
}

static int sync_directory(struct directory *dest, const char *path, struct error *err)
{
    cleanup(cleanup_directory) struct directory *below = NULL;

    return directory_open_below(dest, path, &below, NULL) < 0 ? 0 : directory_sync(below, err);
}

static int sync_each(struct transfer *transfer, struct directory *dest,
                     const struct pull_plan *plan, const struct tree *tree, struct error *err)
{
    char path[PATH_MAX_SIZE + 1];
    int r = 0;

    for (size_t i = 0; r == 0 && i < pull_plan_write_count(plan); i++) {
        path_of(tree, pull_plan_write(plan, i)->index, path);
        r = transfer_stopped(transfer, err);
        if (r == 0)
            r = sync_file(dest, path, err);
    }
    for (uint32_t index = 1; r == 0 && index < tree->header.record_count; index++) {
        if (tree_record(tree, index).kind != ENTRY_DIRECTORY)
            continue;
        path_of(tree, index, path);
        r = sync_directory(dest, path, err);
    }
    return r < 0 ? r : directory_sync(dest, err);
}

int durable_make(struct transfer *transfer, struct directory *dest, const struct pull_plan *plan,
                 const struct tree *tree, struct error *err)
{
    int r = volume_sync(dest, err);

    if (r == -ENOTSUP)
        r = sync_each(transfer, dest, plan, tree, err);
    return transfer_local(transfer, r);
}
