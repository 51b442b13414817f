/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pull_packs.h"

#include <errno.h>
#include <string.h>

#include "agent/transfer/transfer.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/base/workers.h"
#include "common/client/api_client.h"
#include "common/client/pack_fetch.h"
#include "common/model/pack.h"
#include "common/net/http_loop.h"

#define TURN_MS 200
#define ASK_BLOBS 1024
#define ASK_BYTES ((uint64_t)2 << 20)

/* One request at a time. */
struct lane {
    struct asking *asking;
    struct pull_blob *blobs[ASK_BLOBS]; /* in the order asked for */
    size_t count;                       /* 0: idle */
    size_t next;                        /* of the blobs that may still come */
    struct pull_blob *coming;           /* of the member at hand */
    struct buf digests;
    struct pack_fetch *fetch;
    bool disk_failed; /* the failure is the disk's, not the server's */
};

struct asking {
    const struct pull_fetch_options *options;
    struct http_loop *loop;
    struct workers *workers;
    struct lane *lanes;
    size_t lane_count;
    size_t next;
    int result;
    struct error error;
};

static void fail(struct asking *asking, int r, const struct error *err)
{
    if (asking->result == 0) {
        asking->result = r;
        asking->error = *err;
    }
}

/* Unpacking, on a thread ---------------------------------------------------- */

/* The blob of that digest; members come in the order that was asked for. */
static struct pull_blob *find(struct lane *lane, const struct digest *sha256)
{
    for (size_t i = lane->next; i < lane->count; i++) {
        if (digest_equal(&lane->blobs[i]->sha256, sha256)) {
            lane->next = i + 1;
            return lane->blobs[i];
        }
    }
    return NULL;
}

/* For its owner to read, whatever its mode is to be: a second file of these bytes may be made of
 * it. A half-written one of that name does no harm: what an earlier pull left is checked before it
 * is used. */
static int write_blob(struct lane *lane, const struct pull_blob *blob,
                      const struct pack_member *member, struct error *err)
{
    struct directory *stage = lane->asking->options->stage;
    const uint32_t mode = blob->mode | 0400u;
    cleanup_fd int fd = -1;
    char hex[DIGEST_HEX_SIZE];
    int r;

    digest_hex(&member->sha256, hex);
    r = directory_create(stage, hex, mode, &fd, err);
    if (r == -EEXIST) {
        directory_remove_file(stage, hex, NULL);
        r = directory_create(stage, hex, mode, &fd, err);
    }
    if (r == 0)
        r = file_write_at(fd, 0, member->bytes.bytes, member->bytes.size, err);
    if (r < 0)
        lane->disk_failed = true;
    else
        file_set_mtime(fd, blob->mtime, NULL); /* else it is given with the name */
    return r;
}

/* What was not asked for so is not unpacked. */
static int on_header(void *context, const struct digest *sha256, uint64_t size, bool *out_wanted,
                     struct error *err)
{
    struct lane *lane = context;
    struct pull_blob *blob = find(lane, sha256);

    lane->coming = blob;
    *out_wanted = blob != NULL && !blob->is_here && size == blob->size;
    return 0;
}

static int on_member(void *context, const struct pack_member *member, struct error *err)
{
    struct lane *lane = context;
    struct pull_blob *blob = lane->coming;
    int r;

    if (member->damage != NULL)
        return 0; /* left for pull_fetch() */
    r = write_blob(lane, blob, member, err);
    if (r < 0)
        return r;
    blob->is_here = true;
    transfer_done(lane->asking->options->transfer, 1, blob->size);
    return 0;
}

static void on_restart(void *context)
{
    struct lane *lane = context;

    lane->next = 0;
}

/* Asking, on the loop ------------------------------------------------------- */

static bool is_small(const struct pull_blob *blob)
{
    return !blob->is_here && blob->size <= PULL_PACKS_BLOB_MAX;
}

static void ask(struct lane *lane);

static void fill_lane(struct lane *lane)
{
    struct asking *asking = lane->asking;
    const struct pull_fetch_options *options = asking->options;
    uint64_t bytes = 0;

    lane->count = 0;
    buf_clear(&lane->digests);
    if (asking->result != 0)
        return;
    while (asking->next < options->count && lane->count < ASK_BLOBS && bytes < ASK_BYTES) {
        struct pull_blob *blob = &options->blobs[asking->next++];

        if (!is_small(blob))
            continue;
        lane->blobs[lane->count++] = blob;
        buf_add(&lane->digests, blob->sha256.bytes, DIGEST_SIZE);
        bytes += blob->size;
    }
    if (lane->count > 0)
        ask(lane);
}

/* The answer is through: the lane's next request, or the end. */
static void on_done(void *context, const struct pack_fetch_end *end)
{
    struct lane *lane = context;
    struct asking *asking = lane->asking;
    int r = end->code;

    lane->fetch = NULL;
    if (r < 0 && lane->disk_failed)
        r = transfer_local(asking->options->transfer, r);
    else if (r == -EBADMSG || end->status == 404 || end->status == 405)
        r = 0; /* no pack, or half of one: what is missing is asked for alone */
    if (r < 0) {
        fail(asking, r, &end->err);
        lane->count = 0;
        return;
    }
    fill_lane(lane);
}

static void ask(struct lane *lane)
{
    const struct pull_fetch_options *options = lane->asking->options;
    struct pack_fetch_spec spec = { .client = options->transfer->client,
                                    .workers = lane->asking->workers,
                                    .project = options->project,
                                    .app = options->app,
                                    .version = options->version,
                                    .digests = buf_span(&lane->digests),
                                    .bytes = ASK_BYTES + PULL_PACKS_BLOB_MAX,
                                    .member_size = PULL_PACKS_BLOB_MAX,
                                    .ask = on_header,
                                    .member = on_member,
                                    .restart = on_restart,
                                    .done = on_done,
                                    .context = lane };
    struct error err;
    int r = buf_check(&lane->digests, &err);

    if (r == 0)
        r = pack_fetch_start(&spec, &lane->fetch, &err);
    if (r < 0) {
        fail(lane->asking, r, &err);
        lane->count = 0;
    }
}

static bool is_idle(const struct asking *asking)
{
    for (size_t i = 0; i < asking->lane_count; i++)
        if (asking->lanes[i].count > 0)
            return false;
    return true;
}

static bool is_over(void *context)
{
    const struct asking *asking = context;

    return asking->result != 0 || is_idle(asking);
}

static void run(struct asking *asking)
{
    struct error err;
    int r = 0;

    while (r == 0 && !is_over(asking)) {
        r = http_loop_run_until(asking->loop, is_over, asking, clock_monotonic_ms() + TURN_MS,
                                &err);
        if (r == -ETIMEDOUT)
            r = transfer_stopped(asking->options->transfer, &err);
    }
    if (r < 0)
        fail(asking, r, &err);
    for (size_t i = 0; i < asking->lane_count; i++)
        if (asking->lanes[i].fetch != NULL)
            pack_fetch_cancel(asking->lanes[i].fetch);
    /* What is at a thread comes back to the loop before its lane may go. An interrupted loop still
     * takes what was posted. */
    workers_drain(asking->workers);
    while (!is_idle(asking))
        http_loop_run_once(asking->loop, 0, NULL);
}

static int prepare(struct asking *asking, struct error *err)
{
    size_t threads = asking->options->transfer->threads;

    asking->lanes = memory_array(asking->lane_count, sizeof(*asking->lanes));
    if (asking->lanes == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < asking->lane_count; i++) {
        struct lane *lane = &asking->lanes[i];

        lane->asking = asking;
        lane->digests = buf_init(ASK_BLOBS * DIGEST_SIZE);
    }
    return workers_new(&asking->workers,
                       threads < asking->lane_count ? threads : asking->lane_count,
                       asking->lane_count, err);
}

static void release(struct asking *asking)
{
    asking->workers = workers_free(asking->workers);
    for (size_t i = 0; asking->lanes != NULL && i < asking->lane_count; i++)
        buf_release(&asking->lanes[i].digests);
    memory_free(asking->lanes);
}

static bool has_small(const struct pull_fetch_options *options)
{
    for (size_t i = 0; i < options->count; i++)
        if (is_small(&options->blobs[i]))
            return true;
    return false;
}

int pull_packs(const struct pull_fetch_options *options, struct error *err)
{
    struct asking asking = { .options = options,
                             .loop = api_client_loop(options->transfer->client),
                             .lane_count = options->transfer->concurrency };
    int r;

    if (!has_small(options))
        return 0;
    if (asking.lane_count > PULL_PACKS_LANES)
        asking.lane_count = PULL_PACKS_LANES;
    r = prepare(&asking, err);
    if (r == 0) {
        for (size_t i = 0; i < asking.lane_count; i++)
            fill_lane(&asking.lanes[i]);
        run(&asking);
        r = asking.result < 0 ? error_set(err, asking.result, "%s", asking.error.text) : 0;
    }
    release(&asking);
    return r;
}
