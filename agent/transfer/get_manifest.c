/* SPDX-License-Identifier: MIT */
#include "agent/transfer/get_manifest.h"

#include "agent/transfer/get.h"
#include "agent/transfer/get_target.h"
#include "agent/transfer/get_work.h"
#include "agent/transfer/remote_tree.h"
#include "agent/transfer/transfer.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/model/meta_yaml.h"
#include "common/model/tree.h"
#include "common/model/version_ref.h"

#define NAME "meta.yaml"

bool get_manifest_may_be(struct span path)
{
    return span_equal_text(path, VERSION_REF_MANIFEST) || span_equal_text(path, NAME);
}

bool get_manifest_is_path(const struct remote_tree *tree, struct span path)
{
    uint32_t index;

    if (span_equal_text(path, VERSION_REF_MANIFEST))
        return true;
    return span_equal_text(path, NAME) && tree_find_path(&tree->image.tree, path, &index) < 0;
}

static int make(const struct get_options *options, struct get_work *work, struct get_result *out,
                struct error *err)
{
    const struct record *record = &options->tree->version.record;
    struct file_info info;
    cleanup_fd int fd = -1;
    int r = get_work_make(work, err);

    if (r == 0)
        r = directory_create(work->made, NAME, 0600, &fd, err);
    if (r == 0)
        r = meta_yaml_write(record, &options->tree->image.tree, sink_to_file(&fd), err);
    if (r == 0)
        r = file_sync_data(fd, err);
    if (r == 0)
        r = file_info(fd, &info, err);
    if (r == 0 && record->has_created_at)
        r = directory_set_mtime(work->made, NAME, record->created_at_s, err);
    if (r == 0)
        r = directory_set_mode(work->made, NAME, 0444, err);
    if (r == 0)
        *out = (struct get_result){ 1, info.size };
    return r;
}

int get_manifest_run(const struct get_options *options, struct get_result *out, struct error *err)
{
    struct get_work work = get_work_init(options->parent);
    struct get_result result;
    bool there;
    int r = get_target_check(options->parent, options->name, false, &there, err);

    get_work_sweep(options->parent);
    if (r == 0)
        r = make(options, &work, &result, err);
    if (r == 0)
        r = directory_rename(work.made, NAME, options->parent, options->name, err);
    get_work_release(&work);
    if (r == 0)
        *out = result;
    return transfer_local(options->transfer, r);
}

int get_manifest_stream(const struct get_options *options, int fd, struct get_result *out,
                        struct error *err)
{
    const struct record *record = &options->tree->version.record;
    uint64_t size;
    int r = meta_yaml_size(record, &options->tree->image.tree, &size, err);

    if (r == 0)
        r = meta_yaml_write(record, &options->tree->image.tree, sink_to_file(&fd), err);
    if (r < 0)
        return transfer_local(options->transfer, error_prefix(err, r, "standard output"));
    *out = (struct get_result){ 1, size };
    return 0;
}
