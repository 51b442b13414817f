/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pull_write.h"

#include "agent/transfer/durable.h"
#include "agent/transfer/pull_stage.h"
#include "agent/transfer/pull_tree.h"
#include "agent/transfer/pulled.h"
#include "agent/transfer/transfer.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/client/api_client.h"
#include "common/client/api_versions.h"

CLEANUP_DEFINE(directory, directory_close);

static int open_stage(const struct pull_write_options *options, struct directory **out,
                      struct error *err)
{
    struct directory *home = options->pulled->home;
    int r = directory_make_all(home, "stage", 0700, err);

    if (r == 0)
        r = directory_open_below(home, "stage", out, err);
    return transfer_local(options->transfer, r);
}

static int stage_and_apply(const struct pull_write_options *options, struct pull_counts *out,
                           struct error *err)
{
    const struct record *record = &options->version->record;
    struct pulled *pulled = options->pulled;
    cleanup(cleanup_directory) struct directory *stage = NULL;
    struct pull_stage_options stage_options = {
        .transfer = options->transfer,
        .dest = options->store,
        .plan = options->plan,
        .tree = options->tree,
        .cache = options->cache,
        .project = record->project,
        .app = record->app,
        .version = record->version,
    };
    struct pull_apply_options apply = { .transfer = options->transfer,
                                        .dest = options->dest,
                                        .home = pulled->home,
                                        .plan = options->plan,
                                        .tree = options->tree,
                                        .protect = options->protect,
                                        .in_use = options->in_use };
    int r = open_stage(options, &stage, err);

    stage_options.stage = apply.stage = stage;
    if (r == 0)
        r = pull_stage(&stage_options, err);
    if (r == 0 && apply.in_use)
        r = durable_stage(options->transfer, stage, options->plan, err);
    if (r == 0 && options->before != NULL)
        r = options->before(options->before_context, err);
    if (r == 0 && options->has_image)
        r = transfer_local(options->transfer,
                           pulled_begin(pulled, PULL_TREE_NAME, &record->tree, err));
    return r < 0 ? r : pull_apply(&apply, out, err);
}

int pull_write_run(const struct pull_write_options *options, struct pull_counts *out,
                   struct error *err)
{
    struct pulled *pulled = options->pulled;
    struct pull_counts counts = { 0 };
    int r = stage_and_apply(options, &counts, err);

    if (r == 0)
        r = durable_make(options->transfer, options->dest, options->plan, options->tree, err);
    if (r < 0)
        return r;
    r = pulled_finish(pulled, options->tree, &options->version->record.tree,
                      api_client_store(options->transfer->client),
                      buf_span(&options->version->json), err);
    if (r == 0)
        r = directory_remove_all(pulled->home, "stage", err);
    if (r == 0)
        *out = counts;
    return transfer_local(options->transfer, r);
}
