/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pull.h"

#include <errno.h>
#include <string.h>

#include "agent/transfer/pull_apply.h"
#include "agent/transfer/pull_plan.h"
#include "agent/transfer/pull_rebuild.h"
#include "agent/transfer/pull_stage.h"
#include "agent/transfer/pull_tree.h"
#include "agent/transfer/pulled.h"
#include "agent/transfer/stat_cache.h"
#include "agent/transfer/transfer.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/client/api_client.h"
#include "common/client/api_versions.h"
#include "common/model/problem.h"
#include "common/model/tree.h"

CLEANUP_DEFINE(directory, directory_close);
CLEANUP_DEFINE(stat_cache, stat_cache_close);

/* One pull. */
struct pulling {
    const struct pull_options *options;
    struct pulled pulled;
    struct api_version version;
    struct pulled_tree fetched; /* the image, when it had to be fetched */
    const struct tree *tree;    /* the version's: fetched, or one that was here */
    struct stat_cache *cache;   /* what DEST holds */
};

static void pulling_release(struct pulling *pulling)
{
    stat_cache_close(pulling->cache);
    pulled_close_tree(&pulling->fetched);
    api_version_release(&pulling->version);
    pulled_release(&pulling->pulled);
}

/* The same store and name with other content than it had here: an attack, or a broken server. */
static int check_memory(struct pulling *pulling, struct error *err)
{
    const struct pulled *pulled = &pulling->pulled;
    const struct record *version = &pulling->version.record;
    const struct record *record = &pulled->record;

    if (!pulled->has_state || !record->has_content ||
        strcmp(pulled->store, api_client_store(pulling->options->transfer->client)) != 0 ||
        strcmp(record->project, version->project) != 0 || strcmp(record->app, version->app) != 0 ||
        strcmp(record->version, version->version) != 0 ||
        digest_equal(&record->content, &version->content))
        return 0;
    return transfer_failed(pulling->options->transfer,
                           error_set(err, -EBADMSG,
                                     "%s/%s/%s has other content than when it was pulled",
                                     version->project, version->app, version->version),
                           EXIT_INTEGRITY);
}

static int find_version(struct pulling *pulling, struct error *err)
{
    const struct pull_options *options = pulling->options;
    int r;

    transfer_meter(options->transfer, METER_ASKING, 0, 0);
    r = api_version_get(options->transfer->client, options->project, options->app, options->version,
                        &pulling->version, err);
    return r < 0 ? r : check_memory(pulling, err);
}

static int find_tree(struct pulling *pulling, struct error *err)
{
    int r = PULL_REBUILD_NOT;

    pulling->tree = pulled_find_tree(&pulling->pulled, &pulling->version.record.tree);
    if (pulling->tree != NULL &&
        digest_equal(&pulling->tree->header.content, &pulling->version.record.content))
        return 0;
    if (pulling->pulled.has_current)
        r = pull_rebuild(pulling->options->transfer, &pulling->version.record,
                         &pulling->pulled.current.tree, pulling->pulled.home, &pulling->fetched,
                         err);
    if (r == PULL_REBUILD_NOT)
        r = pull_tree(pulling->options->transfer, &pulling->version.record, pulling->pulled.home,
                      &pulling->fetched, err);
    if (r == 0)
        pulling->tree = &pulling->fetched.tree;
    return r;
}

static int make_plan(struct pulling *pulling, struct pull_plan *out, struct error *err)
{
    const struct pull_options *options = pulling->options;
    struct pull_plan_options plan_options = {
        .transfer = options->transfer,
        .dest = options->dest,
        .pulled = &pulling->pulled,
        .tree = pulling->tree,
        .cache = options->full_check ? NULL : pulling->cache,
        .protect = options->protect,
    };

    transfer_meter(options->transfer, METER_SCANNING, pulling->version.record.file_count, 0);
    return pull_plan_make(&plan_options, out, err);
}

static uint64_t count_removals(const struct pull_plan *plan)
{
    size_t at = plan->removals.size;
    uint64_t count = 0;
    bool first;

    while (pull_plan_removal(plan, &at, &first) != NULL)
        count++;
    return count;
}

static void fill_result(const struct pulling *pulling, const struct pull_counts *counts,
                        bool current, struct pull_result *out)
{
    const struct record *version = &pulling->version.record;

    *out = (struct pull_result){ .content = version->content,
                                 .current = current,
                                 .files = version->file_count,
                                 .bytes = version->bytes,
                                 .written_files = counts->written_files,
                                 .deleted_files = counts->deleted_files };
    memcpy(out->version, version->version, strlen(version->version) + 1);
}

static int open_stage(struct pulling *pulling, struct directory **out, struct error *err)
{
    struct directory *home = pulling->pulled.home;
    int r = directory_make_all(home, "stage", 0700, err);

    if (r == 0)
        r = directory_open_below(home, "stage", out, err);
    return transfer_local(pulling->options->transfer, r);
}

static int stage_and_apply(struct pulling *pulling, const struct pull_plan *plan,
                           struct pull_counts *out, struct error *err)
{
    const struct pull_options *options = pulling->options;
    struct pulled *pulled = &pulling->pulled;
    cleanup(cleanup_directory) struct directory *stage = NULL;
    struct pull_stage_options stage_options = {
        .transfer = options->transfer,
        .dest = options->dest,
        .plan = plan,
        .tree = pulling->tree,
        .cache = pulling->cache,
        .project = options->project,
        .app = options->app,
        .version = pulling->version.record.version,
    };
    struct pull_apply_options apply = { .transfer = options->transfer,
                                        .dest = options->dest,
                                        .home = pulled->home,
                                        .plan = plan,
                                        .tree = pulling->tree,
                                        .protect = options->protect };
    int r = open_stage(pulling, &stage, err);

    stage_options.stage = apply.stage = stage;
    if (r == 0)
        r = pull_stage(&stage_options, err);
    if (r == 0 && pulling->fetched.name != NULL)
        r = transfer_local(options->transfer, pulled_begin(pulled, PULL_TREE_NAME,
                                                           &pulling->version.record.tree, err));
    return r < 0 ? r : pull_apply(&apply, out, err);
}

static int update(struct pulling *pulling, const struct pull_plan *plan, struct pull_counts *out,
                  struct error *err)
{
    const struct pull_options *options = pulling->options;
    struct pulled *pulled = &pulling->pulled;
    int r = stage_and_apply(pulling, plan, out, err);

    if (r < 0)
        return r;
    r = pulled_finish(pulled, pulling->tree, &pulling->version.record.tree,
                      api_client_store(options->transfer->client), buf_span(&pulling->version.json),
                      err);
    if (r == 0)
        r = directory_remove_all(pulled->home, "stage", err);
    return transfer_local(options->transfer, r);
}

/* DEST was whole, of this very version, and still is. */
static bool is_current(const struct pulling *pulling, const struct pull_plan *plan)
{
    const struct pulled *pulled = &pulling->pulled;
    const struct record *record = &pulled->record;

    return pull_plan_is_empty(plan) && pulled->pending_count == 0 && pulled->has_current &&
           pulling->tree == &pulled->current.tree && pulled->has_state &&
           strcmp(record->project, pulling->version.record.project) == 0 &&
           strcmp(record->app, pulling->version.record.app) == 0 &&
           strcmp(record->version, pulling->version.record.version) == 0;
}

static int run(struct pulling *pulling, struct pull_result *out, struct error *err)
{
    const struct pull_options *options = pulling->options;
    cleanup(pull_plan_release) struct pull_plan plan = { 0 };
    struct pull_counts counts = { 0 };
    bool current;
    int r = find_version(pulling, err);

    if (r == 0)
        r = find_tree(pulling, err);
    if (r == 0)
        r = make_plan(pulling, &plan, err);
    if (r < 0)
        return r;
    current = is_current(pulling, &plan);
    if (options->dry_run) {
        counts.written_files = pull_plan_write_count(&plan) + pull_plan_count(&plan.links);
        counts.deleted_files = count_removals(&plan);
        directory_remove_file(pulling->pulled.home, PULL_TREE_NAME, NULL);
    } else if (!current) {
        r = update(pulling, &plan, &counts, err);
    }
    if (r == 0)
        fill_result(pulling, &counts, current, out);
    return r;
}

int pull_run(const struct pull_options *options, struct pull_result *out, struct error *err)
{
    cleanup(pulling_release) struct pulling pulling = { .options = options };
    int r = transfer_local(options->transfer,
                           pulled_open(options->dest, PULLED_WRITE, &pulling.pulled, err));

    if (r == 0 && pulling.pulled.damaged != NULL)
        transfer_warning(options->transfer, ".kkartifact/%s is damaged and proves nothing any more",
                         pulling.pulled.damaged);
    if (r == 0)
        r = stat_cache_open(pulling.pulled.home, "stat", &pulling.cache, err);
    return r < 0 ? r : run(&pulling, out, err);
}
