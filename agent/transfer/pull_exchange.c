/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pull_exchange.h"

#include <errno.h>

#include "agent/transfer/beside.h"
#include "agent/transfer/pull_carry.h"
#include "agent/transfer/pull_plan.h"
#include "agent/transfer/pull_space.h"
#include "agent/transfer/pull_survey.h"
#include "agent/transfer/pull_tree.h"
#include "agent/transfer/pull_write.h"
#include "agent/transfer/pulled.h"
#include "agent/transfer/transfer.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/volume.h"
#include "common/client/api_versions.h"
#include "common/model/problem.h"
#include "common/model/tree.h"

#define NAMED_MAX 20

CLEANUP_DEFINE(directory, directory_close);

/* The tree that is made beside DEST. */
struct incoming {
    const struct pull_exchange_options *options;
    struct directory *side;
    struct pulled pulled;
    struct pull_survey survey; /* of DEST, just before the exchange */
};

static void incoming_release(struct incoming *incoming)
{
    pull_survey_release(&incoming->survey);
    pulled_release(&incoming->pulled);
    directory_close(incoming->side);
}

static const char *refusal_of(enum survey_kind kind, bool delete_extra)
{
    if (kind == SURVEY_MOUNT)
        return "is a mount point, which cannot be carried over";
    return kind == SURVEY_FOREIGN && !delete_extra
               ? "no pull has put it there (protect it with `ignore`, or say --delete-extra)"
               : NULL;
}

/* One by its name; several each on a line, and then how many they are. */
static int refuse(struct transfer *transfer, const struct pull_survey *survey, bool delete_extra,
                  struct error *err)
{
    enum survey_kind kind;
    const char *path, *why;
    struct error first;
    uint64_t count = 0;
    size_t at = 0;

    while ((path = pull_survey_next(survey, &at, &kind)) != NULL) {
        why = refusal_of(kind, delete_extra);
        if (why == NULL)
            continue;
        if (++count == 1) {
            error_set(&first, -EEXIST, "%s: %s", path, why);
            continue;
        }
        if (count == 2)
            transfer_complaint(transfer, "%s", first.text);
        if (count <= NAMED_MAX)
            transfer_complaint(transfer, "%s: %s", path, why);
    }
    if (count == 0)
        return 0;
    if (count == 1)
        error_set(err, -EEXIST, "%s", first.text);
    else
        error_set(err, -EEXIST, "%llu paths are in the way of an exchange",
                  (unsigned long long)count);
    return transfer_failed(transfer, -EEXIST, EXIT_LOCAL);
}

static int survey_dest(const struct pull_exchange_options *options, struct pull_survey *out,
                       struct error *err)
{
    struct pull_survey_options survey = {
        .transfer = options->transfer,
        .dest = options->dest,
        .pulled = options->pulled,
        .tree = options->tree,
        .protect = options->protect,
    };
    int r = pull_survey_make(&survey, out, err);

    return r < 0 ? r : refuse(options->transfer, out, options->delete_extra, err);
}

int pull_exchange_check(const struct pull_exchange_options *options, struct error *err)
{
    struct pull_survey survey = { 0 };
    int r = beside_check_exchange(options->beside, options->dest,
                                  options->dry_run ? NULL : options->pulled->home, err);

    if (r < 0)
        return transfer_local(options->transfer, r);
    r = survey_dest(options, &survey, err);
    pull_survey_release(&survey);
    return r;
}

/* The image of the version, in the home of the new tree. */
static int put_image(struct incoming *incoming, struct error *err)
{
    struct directory *home = incoming->pulled.home;
    struct span image = incoming->options->tree->image;
    cleanup_fd int fd = -1;
    int r;

    directory_remove_file(home, PULL_TREE_NAME, NULL);
    r = directory_create(home, PULL_TREE_NAME, 0600, &fd, err);
    if (r == 0)
        r = file_write(fd, image.bytes, image.size, err);
    return r < 0 ? r : file_sync_data(fd, err);
}

static int open_incoming(struct incoming *incoming, struct error *err)
{
    int r = beside_make(incoming->options->beside, &incoming->side, err);

    if (r == 0)
        r = pulled_open(incoming->side, PULLED_WRITE, &incoming->pulled, err);
    if (r == 0)
        r = put_image(incoming, err);
    return transfer_local(incoming->options->transfer, r);
}

/* What an earlier try has made is read, not believed: it may never have reached the disk. */
static int plan_incoming(struct incoming *incoming, const struct pull_survey *extra,
                         struct pull_plan *out, struct error *err)
{
    const struct pull_exchange_options *options = incoming->options;
    struct pull_plan_options plan = { .transfer = options->transfer,
                                      .dest = incoming->side,
                                      .pulled = &incoming->pulled,
                                      .tree = options->tree,
                                      .extra = extra };

    transfer_meter(options->transfer, METER_SCANNING, options->tree->header.file_count, 0);
    return pull_plan_make(&plan, out, err);
}

/* Where a copy shares its bytes with the original, less may do: then the disk tells. */
static int check_space(struct incoming *incoming, const struct pull_plan *plan, struct error *err)
{
    const struct pull_exchange_options *options = incoming->options;
    cleanup(cleanup_directory) struct directory *stage = NULL;
    struct directory *home = incoming->pulled.home;
    struct pull_space_need need;
    int r;

    directory_open_below(home, "stage", &stage, NULL);
    need = pull_space_need(plan, options->tree, stage, true);
    if (volume_shares(home))
        need.bytes = 0;
    r = pull_space_check(options->transfer, home, stage, plan, &need, err);
    if (r < 0 && stage == NULL) /* nothing was begun: nothing stays */
        beside_remove(options->beside, NULL);
    return r;
}

static int write_incoming(struct incoming *incoming, struct error *err)
{
    const struct pull_exchange_options *options = incoming->options;
    cleanup(pull_survey_release) struct pull_survey extra = { 0 };
    cleanup(pull_plan_release) struct pull_plan plan = { 0 };
    struct pull_survey_options survey = { .transfer = options->transfer,
                                          .dest = incoming->side,
                                          .pulled = &incoming->pulled,
                                          .tree = options->tree };
    struct pull_write_options write = { .transfer = options->transfer,
                                        .dest = incoming->side,
                                        .pulled = &incoming->pulled,
                                        .store = options->dest,
                                        .cache = options->cache,
                                        .plan = &plan,
                                        .tree = options->tree,
                                        .version = options->version,
                                        .has_image = true };
    struct pull_counts counts;
    int r = pull_survey_make(&survey, &extra, err);

    if (r == 0)
        r = plan_incoming(incoming, &extra, &plan, err);
    if (r == 0)
        r = check_space(incoming, &plan, err);
    return r < 0 ? r : pull_write_run(&write, &counts, err);
}

/* What is not of the version, and who may enter. */
static int carry_over(struct incoming *incoming, struct error *err)
{
    const struct pull_exchange_options *options = incoming->options;
    cleanup(buf_release) struct buf note = buf_init(BUF_UNLIMITED);
    struct file_info info;
    int r = survey_dest(options, &incoming->survey, err);

    if (r == 0)
        r = pull_carry_copy(options->transfer, options->dest, incoming->side, &incoming->survey,
                            &note, err);
    if (r < 0)
        return r;
    r = pull_carry_save(incoming->side, buf_span(&note), err);
    if (r == 0)
        r = directory_info(options->dest, "", &info, err);
    if (r == 0) {
        directory_set_owner(incoming->side, "", info.owner, info.group, NULL);
        r = directory_set_mode(incoming->side, "", info.mode, err);
    }
    return transfer_local(options->transfer, r);
}

/* The version's files are durable; copies of the rest need it only until the originals come. */
static int sync_incoming(struct incoming *incoming, struct error *err)
{
    int r = directory_sync(incoming->side, err);

    return r < 0 ? r : directory_sync(incoming->pulled.home, err);
}

static int exchange(struct incoming *incoming, struct error *err)
{
    const struct pull_exchange_options *options = incoming->options;
    const struct beside *beside = options->beside;
    int r = transfer_stopped(options->transfer, err);

    if (r < 0)
        return r;
    r = sync_incoming(incoming, err);
    if (r == 0)
        r = beside_check(beside, options->dest, err);
    if (r == 0)
        r = directory_exchange(beside->parent, beside->side, beside->parent, beside->name, err);
    if (r == 0)
        r = directory_sync(beside->parent, err);
    if (r == 0)
        r = pull_carry_finish(incoming->side, options->dest, err);
    return transfer_local(options->transfer, r);
}

int pull_exchange_run(const struct pull_exchange_options *options, struct error *err)
{
    cleanup(incoming_release) struct incoming incoming = { .options = options,
                                                           .pulled = { .lock_fd = -1 } };
    int r = open_incoming(&incoming, err);

    if (r == 0)
        r = write_incoming(&incoming, err);
    if (r == 0 && options->before != NULL)
        r = options->before(options->before_context, err);
    if (r == 0)
        r = carry_over(&incoming, err);
    return r < 0 ? r : exchange(&incoming, err);
}

int pull_exchange_recover(const struct pull_exchange_options *options, struct error *err)
{
    const struct beside *beside = options->beside;
    cleanup(cleanup_directory) struct directory *former = NULL;
    struct file_info info;

    if (directory_info(options->dest, BESIDE_INCOMING, &info, NULL) < 0)
        return 0;
    if (beside->parent != NULL)
        directory_open_below(beside->parent, beside->side, &former, NULL);
    return transfer_local(options->transfer, pull_carry_finish(options->dest, former, err));
}
