/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pull_tree.h"

#include <errno.h>

#include "agent/transfer/pulled.h"
#include "agent/transfer/transfer.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/client/api_client.h"
#include "common/model/merkle.h"
#include "common/model/problem.h"
#include "common/model/record.h"
#include "common/model/tree.h"

struct arriving {
    struct merkle_builder merkle;
    struct transfer *transfer;
    uint64_t size;
    uint64_t offset;
    int fd;
    bool disk_failed;
};

static int on_body(void *context, struct span bytes, struct error *err)
{
    struct arriving *arriving = context;
    int r;

    if (bytes.size > arriving->size - arriving->offset)
        return error_set(err, -EBADMSG, "the tree is larger than the version says");
    r = file_write_at(arriving->fd, arriving->offset, bytes.bytes, bytes.size, err);
    arriving->disk_failed = r < 0;
    if (r == 0)
        r = merkle_builder_add(&arriving->merkle, bytes.bytes, bytes.size, err);
    if (r < 0)
        return r;
    arriving->offset += bytes.size;
    transfer_done(arriving->transfer, 0, bytes.size);
    return 0;
}

static void on_restart(void *context)
{
    struct arriving *arriving = context;

    arriving->offset = 0;
    merkle_builder_init(&arriving->merkle, arriving->size, NULL, NULL, NULL);
}

static int fetch(struct arriving *arriving, const struct record *version, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(4096);
    cleanup(api_result_release) struct api_result result = api_result_init();
    struct api_call_spec spec = { .method = HTTP_GET,
                                  .accept = TREE_MEDIA_TYPE,
                                  .on_body = on_body,
                                  .on_restart = on_restart,
                                  .context = arriving };
    struct digest verity;
    int r;

    api_path_version(&path, version->project, version->app, version->version);
    buf_add_text(&path, "/tree");
    r = buf_check(&path, err);
    if (r < 0)
        return r;
    spec.path = buf_text(&path);
    r = api_call_run(arriving->transfer->client, &spec, &result, err);
    if (r < 0)
        return arriving->disk_failed ? transfer_local(arriving->transfer, r) : r;
    if (arriving->offset != arriving->size ||
        merkle_builder_end(&arriving->merkle, NULL, &verity, err) < 0 ||
        !digest_equal(&verity, &version->tree))
        return error_set(err, -EBADMSG, "the tree does not match the version's digest");
    return 0;
}

static int download(struct transfer *transfer, const struct record *version, struct directory *home,
                    struct error *err)
{
    cleanup_memory struct arriving *arriving = memory_new(sizeof(*arriving));
    cleanup_fd int fd = -1;
    int r;

    if (arriving == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    directory_remove_file(home, PULL_TREE_NAME, NULL);
    r = transfer_local(transfer, directory_create(home, PULL_TREE_NAME, 0600, &fd, err));
    if (r < 0)
        return r;
    arriving->transfer = transfer;
    arriving->fd = fd;
    arriving->size = version->tree_size;
    r = merkle_builder_init(&arriving->merkle, version->tree_size, NULL, NULL, err);
    if (r < 0)
        return r;
    transfer_meter(transfer, METER_FETCHING, 0, version->tree_size);
    r = fetch(arriving, version, err);
    return r < 0 ? r : transfer_local(transfer, file_sync_data(fd, err));
}

int pull_tree(struct transfer *transfer, const struct record *version, struct directory *home,
              struct pulled_tree *out, struct error *err)
{
    struct pulled_tree tree;
    int r = download(transfer, version, home, err);

    if (r == 0)
        r = pulled_open_tree(home, PULL_TREE_NAME, NULL, &tree, err);
    if (r == 0) {
        if (digest_equal(&tree.tree.header.content, &version->content) &&
            digest_equal(&tree.tree.header.times, &version->times)) {
            *out = tree;
            return 0;
        }
        pulled_close_tree(&tree);
        r = error_set(err, -EBADMSG, "the tree is not that of the version's content");
    }
    directory_remove_file(home, PULL_TREE_NAME, NULL);
    return r == -EBADMSG ? transfer_failed(transfer, r, EXIT_INTEGRITY) : r;
}
