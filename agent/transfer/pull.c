/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pull.h"

#include <errno.h>
#include <string.h>

#include "agent/transfer/beside.h"
#include "agent/transfer/pull_apply.h"
#include "agent/transfer/pull_changes.h"
#include "agent/transfer/pull_exchange.h"
#include "agent/transfer/pull_names.h"
#include "agent/transfer/pull_plan.h"
#include "agent/transfer/pull_rebuild.h"
#include "agent/transfer/pull_space.h"
#include "agent/transfer/pull_survey.h"
#include "agent/transfer/pull_tree.h"
#include "agent/transfer/pull_write.h"
#include "agent/transfer/pulled.h"
#include "agent/transfer/scratch.h"
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
    struct scratch scratch;     /* where a dry run keeps it */
    const struct tree *tree;    /* the version's: fetched, or one that was here */
    struct stat_cache *cache;   /* what DEST holds */
    char previous[VERSION_TEXT_SIZE];
    struct pull_survey survey; /* with delete_extra: what the version lacks */
};

static void pulling_release(struct pulling *pulling)
{
    pull_survey_release(&pulling->survey);
    stat_cache_close(pulling->cache);
    pulled_close_tree(&pulling->fetched);
    scratch_release(&pulling->scratch);
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

/* Where the image of the version goes: a dry run writes nothing into DEST. */
static int find_home(struct pulling *pulling, struct directory **out, struct error *err)
{
    const struct pull_options *options = pulling->options;
    int r = 0;

    if (options->dry_run)
        r = transfer_local(options->transfer, scratch_make(&pulling->scratch, err));
    if (r == 0)
        *out = options->dry_run ? pulling->scratch.at : pulling->pulled.home;
    return r;
}

static int find_tree(struct pulling *pulling, struct error *err)
{
    struct directory *home = NULL;
    int r;

    pulling->tree = pulled_find_tree(&pulling->pulled, &pulling->version.record.tree);
    if (pulling->tree != NULL &&
        digest_equal(&pulling->tree->header.content, &pulling->version.record.content))
        return 0;
    r = find_home(pulling, &home, err);
    if (r < 0)
        return r;
    r = PULL_REBUILD_NOT;
    if (pulling->pulled.has_current)
        r = pull_rebuild(pulling->options->transfer, &pulling->version.record,
                         &pulling->pulled.current.tree, home, &pulling->fetched, err);
    if (r == PULL_REBUILD_NOT)
        r = pull_tree(pulling->options->transfer, &pulling->version.record, home, &pulling->fetched,
                      err);
    if (r == 0)
        pulling->tree = &pulling->fetched.tree;
    return r;
}

static int before_change(void *context, struct error *err)
{
    const struct pulling *pulling = context;
    const struct record *version = &pulling->version.record;
    const struct pull_hook *hook = &pulling->options->before;
    const struct pull_change change = { .project = version->project,
                                        .app = version->app,
                                        .version = version->version,
                                        .previous = pulling->previous,
                                        .content = version->content };

    return hook->function == NULL ? 0 : hook->function(hook->context, &change, err);
}

static struct pull_exchange_options exchange_options(struct pulling *pulling)
{
    const struct pull_options *options = pulling->options;

    return (struct pull_exchange_options){ .transfer = options->transfer,
                                           .dest = options->dest,
                                           .beside = options->beside,
                                           .pulled = &pulling->pulled,
                                           .cache = pulling->cache,
                                           .tree = pulling->tree,
                                           .version = &pulling->version,
                                           .protect = options->protect,
                                           .delete_extra = options->delete_extra,
                                           .dry_run = options->dry_run,
                                           .before = before_change,
                                           .before_context = pulling };
}

static int check_exchange(struct pulling *pulling, struct error *err)
{
    struct pull_exchange_options options = exchange_options(pulling);

    return pull_exchange_check(&options, err);
}

static int make_survey(struct pulling *pulling, struct error *err)
{
    const struct pull_options *options = pulling->options;
    struct pull_survey_options survey = {
        .transfer = options->transfer,
        .dest = options->dest,
        .pulled = &pulling->pulled,
        .tree = pulling->tree,
        .protect = options->protect,
    };

    return options->delete_extra ? pull_survey_make(&survey, &pulling->survey, err) : 0;
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
        .extra = options->delete_extra ? &pulling->survey : NULL,
    };

    transfer_meter(options->transfer, METER_SCANNING, pulling->version.record.file_count, 0);
    return pull_plan_make(&plan_options, out, err);
}

static void count_plan(const struct pull_plan *plan, struct pull_counts *out)
{
    out->written_files = pull_plan_write_count(plan) + pull_plan_count(&plan->links);
    out->deleted_files = plan->delete_count;
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
    memcpy(out->previous, pulling->previous, strlen(pulling->previous) + 1);
}

static int check_space(struct pulling *pulling, const struct pull_plan *plan, struct error *err)
{
    cleanup(cleanup_directory) struct directory *stage = NULL;
    struct directory *home = pulling->pulled.home;
    struct pull_space_need need;

    directory_open_below(home, "stage", &stage, NULL);
    need = pull_space_need(plan, pulling->tree, stage, false);
    return pull_space_check(pulling->options->transfer, home, stage, plan, &need, err);
}

static int see_other(void *context, const char *name, enum file_kind kind, struct error *err)
{
    return strncmp(name, ".kkartifact", strlen(".kkartifact")) == 0 ? 0 : 1;
}

/* Whether anything but our own stands there. */
static bool is_in_use(struct directory *dest)
{
    return directory_list(dest, "", see_other, NULL, NULL) != 0;
}

/* What can be told beforehand of a DEST that cannot take the plan. */
static int check_dest(struct pulling *pulling, const struct pull_plan *plan, struct error *err)
{
    const struct pull_options *options = pulling->options;
    int r = check_space(pulling, plan, err);

    if (r < 0 || !pull_plan_changes_top(plan, pulling->tree) || directory_may_write(options->dest))
        return r;
    return transfer_local(options->transfer,
                          error_set(err, -EACCES, "the directory may not be written to"));
}

static int update(struct pulling *pulling, const struct pull_plan *plan, struct pull_counts *out,
                  struct error *err)
{
    const struct pull_options *options = pulling->options;
    struct pull_write_options write = { .transfer = options->transfer,
                                        .dest = options->dest,
                                        .pulled = &pulling->pulled,
                                        .store = options->dest,
                                        .cache = pulling->cache,
                                        .plan = plan,
                                        .tree = pulling->tree,
                                        .version = &pulling->version,
                                        .protect = options->protect,
                                        .before = before_change,
                                        .before_context = pulling,
                                        .in_use = is_in_use(options->dest),
                                        .has_image = pulling->fetched.name != NULL };

    return pull_write_run(&write, out, err);
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

/* What is told of an exchange is what differs, though every file is made anew. */
static int exchange(struct pulling *pulling, const struct pull_plan *plan, struct pull_counts *out,
                    struct error *err)
{
    struct pull_exchange_options options = exchange_options(pulling);
    int r = pull_exchange_run(&options, err);

    if (r < 0)
        return r;
    count_plan(plan, out);
    return 0;
}

/* The tree that an exchange has left. What stands under that name may also be a stranger's, and
 * DEST is done. */
static void remove_former(const struct pull_options *options)
{
    struct error err;
    int r = beside_remove(options->beside, &err);

    if (r < 0 && r != -EEXIST && r != -ENOTDIR && r != -ELOOP)
        transfer_warning(options->transfer, "the former tree stays: %s", err.text);
}

/* With --exchange a plan that changes no file needs none, and directories are set in place. */
static int carry_out(struct pulling *pulling, const struct pull_plan *plan, bool current,
                     struct pull_counts *out, struct error *err)
{
    const struct pull_options *options = pulling->options;
    int r = 0;

    if (options->exchange && !pull_plan_has_all(plan))
        return exchange(pulling, plan, out, err);
    if (current)
        r = transfer_local(options->transfer,
                           pulled_mend_manifest(&pulling->pulled, options->full_check, err));
    else
        r = check_dest(pulling, plan, err);
    if (r == 0 && !current)
        r = update(pulling, plan, out, err);
    if (r == 0)
        remove_former(options);
    return r;
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
        r = pull_names_check(options->transfer, options->dest, pulling->tree, TREE_ROOT, err);
    if (r == 0 && options->exchange)
        r = check_exchange(pulling, err);
    if (r == 0)
        r = make_survey(pulling, err);
    if (r == 0)
        r = make_plan(pulling, &plan, err);
    if (r == 0 && options->changes != NULL)
        r = pull_changes_add(&plan, pulling->tree, options->dest, options->changes, err);
    if (r < 0)
        return r;
    current = is_current(pulling, &plan);
    if (options->dry_run) {
        count_plan(&plan, &counts);
    } else {
        r = carry_out(pulling, &plan, current, &counts, err);
    }
    if (r == 0)
        fill_result(pulling, &counts, current, out);
    return r;
}

static int recover(struct pulling *pulling, struct error *err)
{
    struct pull_exchange_options options = exchange_options(pulling);

    return pull_exchange_recover(&options, err);
}

static int pull(struct pulling *pulling, struct pull_result *out, struct error *err)
{
    const struct pull_options *options = pulling->options;
    int r = transfer_local(options->transfer,
                           pulled_open(options->dest, options->dry_run ? PULLED_READ : PULLED_WRITE,
                                       &pulling->pulled, err));

    if (r == 0)
        r = transfer_local(options->transfer, beside_check(options->beside, options->dest, err));
    if (r == 0 && !options->dry_run)
        r = recover(pulling, err);
    if (r == 0 && pulling->pulled.has_state)
        memcpy(pulling->previous, pulling->pulled.record.version, sizeof(pulling->previous));
    if (r == 0 && pulling->pulled.damaged != NULL)
        transfer_warning(options->transfer, ".kkartifact/%s is damaged and proves nothing any more",
                         pulling->pulled.damaged);
    if (r == 0 && pulling->pulled.home != NULL)
        r = stat_cache_open(pulling->pulled.home, "stat", &pulling->cache, err);
    if (r < 0)
        return r;
    r = run(pulling, out, err);
    if (!options->dry_run) /* one that was not used */
        directory_remove_file(pulling->pulled.home, PULL_TREE_NAME, NULL);
    return r;
}

int pull_run(const struct pull_options *options, struct pull_result *out, struct error *err)
{
    cleanup(pulling_release) struct pulling pulling = { .options = options };
    int r = pull(&pulling, out, err);

    if (r < 0) {
        pulling.cache = stat_cache_close(pulling.cache);
        pulled_close_tree(&pulling.fetched);
        pulled_unmake(&pulling.pulled);
    }
    return r;
}
