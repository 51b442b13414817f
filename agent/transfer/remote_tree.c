/* SPDX-License-Identifier: MIT */
#include "agent/transfer/remote_tree.h"

#include "agent/transfer/pull_tree.h"
#include "agent/transfer/transfer.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"

void remote_tree_release(struct remote_tree *tree)
{
    pulled_close_tree(&tree->image);
    api_version_release(&tree->version);
    scratch_release(&tree->scratch);
    buf_release(&tree->part);
    *tree = (struct remote_tree){ 0 };
}

int remote_tree_fetch(struct transfer *transfer, const char *project, const char *app,
                      const char *version, struct remote_tree *out, struct error *err)
{
    cleanup(remote_tree_release) struct remote_tree tree = { 0 };
    int r;

    transfer_meter(transfer, METER_ASKING, 0, 0);
    r = api_version_get(transfer->client, project, app, version, &tree.version, err);
    if (r < 0)
        return r;
    r = transfer_local(transfer, scratch_make(&tree.scratch, err));
    if (r == 0)
        r = pull_tree(transfer, &tree.version.record, tree.scratch.at, &tree.image, err);
    if (r < 0)
        return r;
    /* Mapped memory outlives the name of its file, but not on Windows. */
    scratch_remove(&tree.scratch);
    *out = tree;
    tree = (struct remote_tree){ 0 };
    return 0;
}
