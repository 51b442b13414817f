/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "agent/transfer/get.h"
#include "agent/transfer/remote_tree.h"
#include "agent/transfer/transfer.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/client/api_client.h"
#include "common/client/blob_cache.h"
#include "common/client/blob_fetch.h"
#include "common/model/problem.h"
#include "common/model/tree.h"
#include "common/net/http_loop.h"

#define TURN_MS 200

CLEANUP_DEFINE(blob_cache, blob_cache_close);
CLEANUP_DEFINE(blob_fetch, blob_fetch_free);
CLEANUP_DEFINE(blob_object, blob_object_unref);

struct streaming {
    struct transfer *transfer;
    int fd;
    bool is_over;
    bool reader_failed; /* the failure is that of whoever reads us */
    int result;
    struct error error;
};

/* Verified by the engine (blob_fetch.h). */
static int on_bytes(void *context, uint64_t offset, struct span bytes, struct error *err)
{
    struct streaming *streaming = context;
    int r = file_write(streaming->fd, bytes.bytes, bytes.size, err);

    streaming->reader_failed = r < 0;
    transfer_done(streaming->transfer, 0, bytes.size);
    return r < 0 ? error_prefix(err, r, "standard output") : 0;
}

static void on_done(void *context, int result, const struct error *err)
{
    struct streaming *streaming = context;

    streaming->is_over = true;
    streaming->result = result;
    if (result < 0)
        streaming->error = *err;
}

static bool is_over(void *context)
{
    return ((const struct streaming *)context)->is_over;
}

static int open_object(const struct get_options *options, struct blob_fetch *engine,
                       struct blob_object **out, struct error *err)
{
    const struct record *version = &options->tree->version.record;
    const struct tree *tree = &options->tree->image.tree;
    struct tree_record record = tree_record(tree, options->index);
    cleanup(buf_release) struct buf path = buf_init(4096);
    struct blob_source source = { .key = { .kind = BLOB_CONTENT,
                                           .name = tree_sha256(tree, record.digest_index),
                                           .verity = tree_verity(tree, record.digest_index),
                                           .size = record.size } };
    char hex[DIGEST_HEX_SIZE];
    int r;

    digest_hex(&source.key.name, hex);
    api_path_blob(&path, version->project, version->app, version->version, hex);
    r = buf_check(&path, err);
    source.path = buf_text(&path);
    return r < 0 ? r : blob_fetch_object(engine, &source, out, err);
}

static int wait_for_end(struct streaming *streaming, struct error *err)
{
    struct http_loop *loop = api_client_loop(streaming->transfer->client);
    int r = 0;

    while (r == 0 && !streaming->is_over) {
        r = http_loop_run_until(loop, is_over, streaming, clock_monotonic_ms() + TURN_MS, err);
        if (r == -ETIMEDOUT)
            r = transfer_stopped(streaming->transfer, err);
    }
    return r;
}

int get_stream(const struct get_options *options, int fd, struct get_result *out, struct error *err)
{
    struct transfer *transfer = options->transfer;
    struct blob_fetch_options fetch = { .client = transfer->client };
    struct streaming streaming = { .transfer = transfer, .fd = fd };
    cleanup(cleanup_blob_cache) struct blob_cache *cache = NULL;
    cleanup(cleanup_blob_fetch) struct blob_fetch *engine = NULL;
    cleanup(cleanup_blob_object) struct blob_object *object = NULL;
    uint64_t size = tree_record(&options->tree->image.tree, options->index).size;
    int r = blob_cache_open(NULL, NULL, &cache, err);

    transfer_meter(transfer, METER_FETCHING, 1, size);
    fetch.cache = cache;
    if (r == 0)
        r = blob_fetch_new(&engine, &fetch, err);
    if (r == 0)
        r = open_object(options, engine, &object, err);
    if (r == 0)
        r = blob_fetch_stream(object, UINT64_MAX, on_bytes, on_done, &streaming, err);
    if (r == 0)
        r = wait_for_end(&streaming, err);
    if (r < 0)
        return r;
    if (streaming.result < 0) {
        r = error_set(err, streaming.result, "%s", streaming.error.text);
        if (streaming.reader_failed)
            return transfer_local(transfer, r);
        return r == -EBADMSG ? transfer_failed(transfer, r, EXIT_INTEGRITY) : r;
    }
    *out = (struct get_result){ 1, size };
    return 0;
}
