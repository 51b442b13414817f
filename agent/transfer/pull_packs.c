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
#include "common/model/pack.h"
#include "common/net/http_loop.h"

#define TURN_MS 200
#define ASK_BLOBS 1024
#define ASK_BYTES ((uint64_t)2 << 20)
#define PART_SIZE ((size_t)256 << 10) /* so much at least goes to a thread at a time */
/* Of what was asked for, each as long as it can be: whole in memory when the threads are behind. */
#define ANSWER_MAX \
    ((size_t)(ASK_BYTES + PULL_PACKS_BLOB_MAX) + (size_t)ASK_BLOBS * PACK_MEMBER_SIZE + 64)

/* One request at a time: received on the loop, unpacked and written on a thread. */
struct lane {
    struct asking *asking;
    struct pull_blob *blobs[ASK_BLOBS]; /* in the order asked for */
    size_t count;                       /* 0: idle */
    size_t next;                        /* of the blobs that may still come */
    struct pull_blob *coming;           /* of the member at hand */
    struct buf digests;
    struct buf received; /* not given to a thread yet */
    struct buf given;
    struct pack_reader *reader;
    struct api_call *call;
    bool begins;   /* what is received next is the beginning of a pack */
    bool answered; /* nothing more comes */
    bool broken;   /* a thread failed: nothing more is given */
    bool at_work;  /* a thread has `given`, the reader and the two below */
    int work_result;
    struct error work_error;
    struct http_post worked;
    int result; /* the first failure, of the answer or of a thread */
    int status; /* of the answer */
    struct error error;
    bool disk_failed; /* the failure is the disk's, not the server's */
};

struct asking {
    const struct pull_fetch_options *options;
    struct http_loop *loop;
    struct workers *workers;
    struct lane *lanes;
    size_t lane_count;
    size_t working; /* lanes that are at a thread */
    size_t next;
    int result;
    struct error error;
};

static const struct pack_limits limits = { .member_size = PULL_PACKS_BLOB_MAX, .count = ASK_BLOBS };

static void ask(struct lane *lane);
static void go_on(struct lane *lane);

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

static int new_reader(struct lane *lane, struct error *err)
{
    int r;

    lane->reader = pack_reader_free(lane->reader);
    lane->next = 0;
    r = pack_reader_new(&lane->reader, &limits, on_member, lane, err);
    if (r == 0)
        pack_reader_ask(lane->reader, on_header);
    return r;
}

static void work(void *context)
{
    struct lane *lane = context;

    lane->work_result =
        pack_reader_feed(lane->reader, lane->given.bytes, lane->given.size, &lane->work_error);
    http_loop_post_at(lane->asking->loop, &lane->worked);
}

/* Receiving, on the loop ---------------------------------------------------- */

static int on_body(void *context, struct span bytes, struct error *err)
{
    struct lane *lane = context;
    int r;

    buf_add_span(&lane->received, bytes);
    r = buf_check(&lane->received, err);
    if (r == -EFBIG)
        return error_set(err, -EBADMSG, "the server sends more than it was asked for");
    if (r == 0)
        go_on(lane);
    return r;
}

/* A broken answer is begun anew; what came of it stays. */
static void on_restart(void *context)
{
    struct lane *lane = context;

    buf_clear(&lane->received);
    lane->begins = true;
}

static bool is_small(const struct pull_blob *blob)
{
    return !blob->is_here && blob->size <= PULL_PACKS_BLOB_MAX;
}

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
static void finish(struct lane *lane)
{
    struct asking *asking = lane->asking;
    int r = lane->result;

    if (r == 0)
        r = pack_reader_end(lane->reader, &lane->error);
    if (r < 0 && lane->disk_failed)
        r = transfer_local(asking->options->transfer, r);
    else if (r == -EBADMSG || lane->status == 404 || lane->status == 405)
        r = 0; /* no pack, or half of one: what is missing is asked for alone */
    if (r < 0) {
        fail(asking, r, &lane->error);
        lane->count = 0;
        return;
    }
    fill_lane(lane);
}

static void note_failure(struct lane *lane, int r, const struct error *err)
{
    if (r == 0 || lane->result != 0)
        return;
    lane->result = r;
    lane->error = *err;
}

/* What was received goes to a thread. */
static void give_part(struct lane *lane)
{
    struct buf emptied = lane->given;

    buf_clear(&emptied);
    lane->given = lane->received;
    lane->received = emptied;
    lane->at_work = true;
    lane->asking->working++;
    workers_submit(lane->asking->workers, work, lane);
}

/* Parts of one answer follow each other. The last is given also of an answer that broke off: what
 * came of it stays. */
static void go_on(struct lane *lane)
{
    struct error err;
    int r = 0;

    if (lane->at_work || lane->asking->result != 0)
        return;
    if (lane->begins) {
        lane->begins = false;
        r = new_reader(lane, &err);
    }
    note_failure(lane, r, &err);
    lane->broken |= r < 0;
    if (!lane->broken && lane->received.size >= (lane->answered ? 1 : PART_SIZE))
        give_part(lane);
    else if (lane->answered)
        finish(lane);
}

static void part_is_done(void *context)
{
    struct lane *lane = context;

    lane->at_work = false;
    lane->asking->working--;
    note_failure(lane, lane->work_result, &lane->work_error);
    lane->broken |= lane->work_result < 0;
    if (lane->broken && lane->call != NULL)
        api_call_cancel(lane->call); /* on_done() goes on */
    else
        go_on(lane);
}

static void on_done(void *context, const struct api_answer *answer)
{
    struct lane *lane = context;

    lane->call = NULL;
    lane->answered = true;
    lane->status = answer->status;
    note_failure(lane, answer->code, &answer->err);
    go_on(lane);
}

static void ask(struct lane *lane)
{
    const struct pull_fetch_options *options = lane->asking->options;
    cleanup(buf_release) struct buf path = buf_init(4096);
    const struct http_header accept[] = { { "Accept-Encoding", "zstd" } };
    struct api_client *client = options->transfer->client;
    struct error err;
    struct api_call_spec spec = { .method = HTTP_POST,
                                  .content_type = "application/octet-stream",
                                  .headers = accept,
                                  .header_count = api_client_is_local(client) ? 0 : 1,
                                  .repeatable = true,
                                  .on_body = on_body,
                                  .on_restart = on_restart,
                                  .done = on_done,
                                  .context = lane };
    int r;

    spec.body = (struct http_body){ .kind = HTTP_BODY_SPAN,
                                    .span = buf_span(&lane->digests),
                                    .size = lane->digests.size };
    api_path_version(&path, options->project, options->app, options->version);
    buf_add_text(&path, "/blobs:batch");
    spec.path = buf_text(&path);
    r = buf_check(&path, &err);
    if (r == 0)
        r = buf_check(&lane->digests, &err);
    lane->begins = true;
    lane->answered = lane->broken = false;
    lane->result = lane->status = 0;
    buf_clear(&lane->received);
    if (r == 0)
        r = api_call_start(client, &spec, &lane->call, &err);
    if (r < 0) {
        fail(lane->asking, r, &err);
        lane->count = 0;
    }
}

static bool is_over(void *context)
{
    const struct asking *asking = context;

    for (size_t i = 0; i < asking->lane_count; i++)
        if (asking->lanes[i].count > 0)
            return asking->result != 0;
    return true;
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
        if (asking->lanes[i].call != NULL)
            api_call_cancel(asking->lanes[i].call);
    /* What is at a thread comes back to the loop before its lane may go. An interrupted loop still
     * takes what was posted. */
    workers_drain(asking->workers);
    while (asking->working > 0)
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
        lane->received = lane->given = buf_init(ANSWER_MAX);
        lane->worked = (struct http_post){ .function = part_is_done, .context = lane };
    }
    return workers_new(&asking->workers,
                       threads < asking->lane_count ? threads : asking->lane_count,
                       asking->lane_count, err);
}

static void release(struct asking *asking)
{
    asking->workers = workers_free(asking->workers);
    for (size_t i = 0; asking->lanes != NULL && i < asking->lane_count; i++) {
        pack_reader_free(asking->lanes[i].reader);
        buf_release(&asking->lanes[i].digests);
        buf_release(&asking->lanes[i].received);
        buf_release(&asking->lanes[i].given);
    }
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
