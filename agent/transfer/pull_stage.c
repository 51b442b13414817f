/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pull_stage.h"

#include <errno.h>
#include <string.h>

#include "agent/transfer/hasher.h"
#include "agent/transfer/pull_base.h"
#include "agent/transfer/pull_fetch.h"
#include "agent/transfer/pull_mend.h"
#include "agent/transfer/pull_packs.h"
#include "agent/transfer/pull_plan.h"
#include "agent/transfer/stat_cache.h"
#include "agent/transfer/transfer.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/model/tree.h"

#define BUFFER_SIZE (256 * 1024)

struct staging {
    const struct pull_stage_options *options;
    struct pull_blob *blobs; /* each once, sorted by digest */
    size_t count;
    uint8_t *buffer;
};

static int collect(struct staging *staging, struct error *err)
{
    const struct pull_plan *plan = staging->options->plan;
    size_t writes = pull_plan_write_count(plan);

    staging->blobs = memory_array(writes, sizeof(*staging->blobs));
    if (staging->blobs == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < writes; i++) {
        const struct pull_write *write = pull_plan_write(plan, i);
        const struct tree_record record = tree_record(staging->options->tree, write->index);
        bool again = i > 0 && digest_equal(&write->sha256, &pull_plan_write(plan, i - 1)->sha256);

        staging->count += !again;
        /* Of several files with these bytes the last one becomes what is staged (pull_apply.c). */
        staging->blobs[staging->count - 1] = (struct pull_blob){
            .sha256 = write->sha256, .size = record.size, .mtime = record.mtime, .mode = record.mode
        };
    }
    return 0;
}

/* Whether the open file holds exactly the blob: 1, 0, or -ECANCELED. */
static int holds_blob(struct staging *staging, int fd, const struct pull_blob *blob,
                      struct error *err)
{
    struct file_info info;
    struct digest sha256;
    int r;

    if (file_info(fd, &info, NULL) < 0 || info.size != blob->size)
        return 0;
    r = hasher_read(fd, blob->size, staging->buffer, BUFFER_SIZE, staging->options->transfer->stop,
                    &sha256, err);
    if (r == -ECANCELED)
        return r;
    return r == 0 && digest_equal(&sha256, &blob->sha256);
}

/* What an earlier pull has left. */
static int try_staged(struct staging *staging, struct pull_blob *blob, struct error *err)
{
    struct directory *stage = staging->options->stage;
    cleanup_fd int fd = -1;
    char hex[DIGEST_HEX_SIZE];
    int r;

    digest_hex(&blob->sha256, hex);
    if (directory_open_read(stage, hex, &fd, NULL) < 0)
        return 0;
    r = holds_blob(staging, fd, blob, err);
    if (r < 0)
        return r;
    blob->is_here = r > 0;
    return r > 0
               ? 0
               : transfer_local(staging->options->transfer, directory_remove_file(stage, hex, err));
}

/* A copy of what DEST holds under another path. A source that is not what was noted is no
 * failure. */
static int try_copy(struct staging *staging, struct pull_blob *blob, const char *path,
                    struct error *err)
{
    struct directory *stage = staging->options->stage;
    cleanup_fd int from = -1, to = -1;
    char hex[DIGEST_HEX_SIZE];
    struct file_info info;
    int r;

    if (directory_open_read(staging->options->dest, path, &from, NULL) < 0 ||
        file_info(from, &info, NULL) < 0 || info.size != blob->size)
        return 0;
    digest_hex(&blob->sha256, hex);
    directory_remove_file(stage, "copy", NULL);
    r = directory_create(stage, "copy", 0600, &to, err);
    if (r < 0)
        return transfer_local(staging->options->transfer, r);
    r = file_copy(from, to, blob->size, err);
    if (r == 0)
        r = holds_blob(staging, to, blob, err);
    else if (r == -EIO)
        r = 0; /* became shorter */
    if (r > 0) {
        r = directory_rename(stage, "copy", stage, hex, err);
        blob->is_here = r == 0;
    } else {
        directory_remove_file(stage, "copy", NULL);
    }
    return transfer_local(staging->options->transfer, r);
}

static int use_dest(struct staging *staging, struct error *err)
{
    struct stat_cache *cache = staging->options->cache;
    cleanup(buf_release) struct buf text = buf_init(BUF_UNLIMITED);
    struct span path;
    struct digest sha256;
    uint64_t stamp;
    int r = 0;

    stat_cache_rewind(cache);
    while (r == 0 && stat_cache_next(cache, &path, &stamp, &sha256)) {
        struct pull_blob *blob = pull_blob_find(staging->blobs, staging->count, &sha256);
        if (blob == NULL || blob->is_here)
            continue;
        buf_clear(&text);
        buf_add_span(&text, path);
        buf_add_byte(&text, 0);
        r = buf_check(&text, err);
        if (r == 0)
            r = transfer_stopped(staging->options->transfer, err);
        if (r == 0)
            r = try_copy(staging, blob, (const char *)text.bytes, err);
    }
    return r;
}

/* directory_each: one name in the staging directory. */
static int use_staged(void *context, const char *name, enum file_kind kind, struct error *err)
{
    struct staging *staging = context;
    struct pull_blob *blob;
    struct digest sha256;
    int r = transfer_stopped(staging->options->transfer, err);

    if (r < 0 || digest_parse(span_text(name), &sha256, NULL) < 0)
        return r;
    blob = pull_blob_find(staging->blobs, staging->count, &sha256);
    return blob == NULL ? 0 : try_staged(staging, blob, err);
}

static int use_what_is_here(struct staging *staging, struct error *err)
{
    struct transfer *transfer = staging->options->transfer;
    int r = directory_list(staging->options->stage, "", use_staged, staging, err);

    return r < 0 ? transfer_local(transfer, r) : use_dest(staging, err);
}

static int make_empty(struct staging *staging, struct pull_blob *blob, struct error *err)
{
    cleanup_fd int fd = -1;
    char hex[DIGEST_HEX_SIZE];
    int r;

    digest_hex(&blob->sha256, hex);
    r = directory_create(staging->options->stage, hex, 0600, &fd, err);
    blob->is_here = r == 0;
    return transfer_local(staging->options->transfer, r);
}

static int fetch_rest(struct staging *staging, struct error *err)
{
    const struct pull_stage_options *options = staging->options;
    struct pull_fetch_options fetch = {
        .transfer = options->transfer,
        .dest = options->dest,
        .stage = options->stage,
        .blobs = staging->blobs,
        .count = staging->count,
        .project = options->project,
        .app = options->app,
        .version = options->version,
    };
    struct pull_base_options bases = {
        .transfer = options->transfer,
        .dest = options->dest,
        .plan = options->plan,
        .tree = options->tree,
        .cache = options->cache,
    };
    uint64_t files = 0, bytes = 0;
    size_t left = 0;
    int r = pull_base_find(&bases, staging->blobs, staging->count, err);

    for (size_t i = 0; r == 0 && i < staging->count; i++) {
        struct pull_blob *blob = &staging->blobs[i];
        if (!blob->is_here && blob->size == 0)
            r = make_empty(staging, blob, err);
        files += !blob->is_here;
        bytes += blob->is_here ? 0 : blob->size;
    }
    transfer_meter(options->transfer, METER_FETCHING, files, bytes);
    if (r == 0)
        r = pull_mend_prepare(&fetch, err);
    if (r == 0)
        r = pull_packs(&fetch, err);
    if (r == 0)
        r = pull_fetch(&fetch, err);
    if (r == 0)
        r = pull_mend(&fetch, &left, err);
    if (r == 0 && left > 0)
        r = pull_fetch(&fetch, err);
    if (r < 0)
        pull_mend_drop(&fetch);
    return r;
}

int pull_stage(const struct pull_stage_options *options, struct error *err)
{
    struct staging staging = { .options = options };
    cleanup_memory uint8_t *buffer = memory_new(BUFFER_SIZE);
    int r;

    if (buffer == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    staging.buffer = buffer;
    r = collect(&staging, err);
    if (r == 0)
        r = use_what_is_here(&staging, err);
    if (r == 0)
        r = fetch_rest(&staging, err);
    pull_base_release(staging.blobs, staging.count);
    memory_free(staging.blobs);
    return r;
}
