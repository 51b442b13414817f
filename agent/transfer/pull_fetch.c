/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pull_fetch.h"

#include <errno.h>
#include <string.h>

#include "agent/transfer/hash_behind.h"
#include "agent/transfer/pull_base.h"
#include "agent/transfer/pull_lane.h"
#include "agent/transfer/transfer.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/workers.h"
#include "common/client/api_client.h"
#include "common/model/problem.h"

#define TURN_MS 200
#define WRONG_MAX 2             /* times that a blob may come wrong */
#define GO_ON_BYTES (64 * 1024) /* a try that gave fewer counts as a failed one */

struct pull_blob *pull_blob_find(struct pull_blob *blobs, size_t count, const struct digest *sha256)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = digest_compare(&blobs[middle].sha256, sha256);
        if (order == 0)
            return &blobs[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

void lane_end(struct lane *lane)
{
    if (lane->blob != NULL && (lane->wrong > 0 || lane->disk_failed || lane->body.offset == 0))
        directory_remove_file(lane->fetching->options->stage, lane->part, NULL);
    pull_body_close(&lane->body);
    lane->blob = NULL;
}

void lane_fail(struct lane *lane, int r, const struct error *err)
{
    struct fetching *fetching = lane->fetching;
    char hex[DIGEST_HEX_SIZE];

    if (fetching->result == 0) {
        digest_hex(&lane->blob->sha256, hex);
        fetching->result = r;
        fetching->error = *err;
        error_prefix(&fetching->error, r, "blob %.12s", hex);
    }
    lane_end(lane);
}

void lane_restart(struct lane *lane)
{
    transfer_done(lane->fetching->options->transfer, 0, (uint64_t)0 - lane->body.offset);
    pull_body_rewind(&lane->body);
}

/* The server has made the delta, or will not: the next one may be asked for. */
static void leave_turn(struct lane *lane)
{
    struct fetching *fetching = lane->fetching;

    if (!lane->has_turn)
        return;
    lane->has_turn = false;
    pull_queue_leave_turn(&fetching->queue);
    if (!fetching->is_posted)
        http_loop_post_at(fetching->loop, &fetching->filler);
    fetching->is_posted = true;
}

static int on_body(void *context, struct span bytes, struct error *err)
{
    struct lane *lane = context;
    int r = pull_body_add(&lane->body, bytes, &lane->disk_failed, err);

    leave_turn(lane);
    if (r == 0)
        transfer_done(lane->fetching->options->transfer, 0, bytes.size);
    return r;
}

void lane_fill(struct lane *lane)
{
    struct fetching *fetching = lane->fetching;

    if (fetching->result != 0)
        return;
    lane->blob = pull_queue_next(&fetching->queue, !fetching->is_paused);
    if (lane->blob == NULL)
        return;
    lane->wrong = 0;
    lane->poor = 0;
    lane_fetch(lane);
}

void lanes_fill(struct fetching *fetching)
{
    for (size_t i = 0; i < fetching->lane_count; i++)
        if (fetching->lanes[i].blob == NULL)
            lane_fill(&fetching->lanes[i]);
}

static void turn_is_left(void *context)
{
    struct fetching *fetching = context;

    fetching->is_posted = false;
    lanes_fill(fetching);
}

int lane_keep(struct lane *lane, const char *name, struct error *err)
{
    struct directory *stage = lane->fetching->options->stage;
    char hex[DIGEST_HEX_SIZE];
    int r;

    digest_hex(&lane->blob->sha256, hex);
    pull_body_close(&lane->body);
    r = directory_rename(stage, name, stage, hex, err);
    lane->blob->is_here = r == 0;
    return transfer_local(lane->fetching->options->transfer, r);
}

void lane_is_done(struct lane *lane)
{
    transfer_done(lane->fetching->options->transfer, 1, 0);
    lane->blob = NULL;
    lane_fill(lane);
}

static void finish_blob(struct lane *lane, int r, const struct error *cause)
{
    struct transfer *transfer = lane->fetching->options->transfer;
    struct error err = *cause;

    if (r == 0) {
        r = pull_body_check(&lane->body, &lane->blob->sha256, &err);
        lane->disk_failed = r < 0 && r != -EBADMSG; /* it could not be read back */
    }
    if (r == -EBADMSG && ++lane->wrong < WRONG_MAX) {
        if (lane->asks_delta) /* something else than a delta or the blob came */
            lane->blob->base->is_known = false;
        lane_restart(lane);
        lane_fetch(lane);
        return;
    }
    if (r == -EBADMSG)
        transfer_failed(transfer, r, EXIT_INTEGRITY);
    else if (r < 0 && lane->disk_failed)
        transfer_local(transfer, r);
    if (r == 0)
        r = lane_keep(lane, lane->part, &err);
    if (r < 0) {
        lane_fail(lane, r, &err);
        return;
    }
    if (lane->blob->base != NULL)
        transfer_detail(transfer, "%s: whole, %llu bytes", lane->blob->base->path,
                        (unsigned long long)lane->blob->size);
    lane_is_done(lane);
}

/* It broke off behind bytes that are good as far as anyone knows: a blob goes on there, also one
 * that came where a delta was asked for; a delta begins anew, for as many tries as there are. */
static bool goes_on(struct lane *lane, const struct api_answer *answer)
{
    const bool delta = lane->asks_delta && answer->headers != NULL && lane_is_delta(answer);
    uint64_t got = lane->body.offset - lane->from;
    int r = answer->code;

    if ((r != -EAGAIN && r != -ETIMEDOUT && r != -EIO) || lane->disk_failed || got == 0)
        return false;
    lane->poor = got < GO_ON_BYTES || delta ? lane->poor + 1 : 0;
    if (delta)
        lane_restart(lane);
    else if (answer->headers != NULL)
        lane->asks_delta = false;
    if (lane->poor < lane->fetching->options->transfer->retry.tries)
        return true;
    if (!delta)
        return false;
    transfer_detail(lane->fetching->options->transfer, "%s: no delta: %s", lane->blob->base->path,
                    answer->err.text);
    lane->blob->base->is_known = lane->asks_delta = false; /* the whole can go on where it was */
    lane->poor = 0;
    return true;
}

static void body_is_hashed(void *context)
{
    static const struct error none;
    struct lane *lane = context;

    lane->fetching->at_threads--;
    if (lane->fetching->result != 0)
        lane_end(lane);
    else
        finish_blob(lane, 0, &none);
}

/* All of it came, or what came is all that will. */
static void end_body(struct lane *lane, const struct api_answer *answer)
{
    if (answer->code < 0 || lane->body.hash == NULL) {
        finish_blob(lane, answer->code, &answer->err);
        return;
    }
    lane->fetching->at_threads++;
    hash_behind_close(lane->body.hash, lane->fetching->loop, &lane->hashed);
}

static void ask(struct lane *lane);

static void on_done(void *context, const struct api_answer *answer)
{
    struct lane *lane = context;

    lane->call = NULL;
    leave_turn(lane);
    if (lane->fetching->result != 0)
        lane_end(lane);
    else if (goes_on(lane, answer))
        ask(lane);
    else if (!lane_take_delta(lane, answer))
        end_body(lane, answer);
}

static void name_files(struct lane *lane)
{
    digest_hex(&lane->blob->sha256, lane->part);
    memcpy(lane->made, lane->part, DIGEST_HEX_SIZE);
    memcpy(lane->part + DIGEST_HEX_SIZE - 1, PULL_FETCH_PART, sizeof(PULL_FETCH_PART));
    memcpy(lane->made + DIGEST_HEX_SIZE - 1, PULL_FETCH_MADE, sizeof(PULL_FETCH_MADE));
}

static int open_part(struct lane *lane, struct error *err)
{
    const struct pull_fetch_options *options = lane->fetching->options;
    int r;

    pull_body_close(&lane->body);
    name_files(lane);
    r = pull_body_open(&lane->body, options->stage, lane->part, lane->blob->size, lane->wrong == 0,
                       options->transfer->stop, err);
    if (r == 0 && lane->body.kind == PULL_BODY_BLOB) {
        lane->asks_delta = false;
        transfer_done(options->transfer, 0, lane->body.offset);
    }
    return transfer_local(options->transfer, r);
}

/* For the rest. What breaks off is for goes_on(): the call itself does not begin anew. */
static void ask(struct lane *lane)
{
    const struct pull_fetch_options *options = lane->fetching->options;
    cleanup(buf_release) struct buf path = buf_init(4096);
    cleanup(buf_release) struct buf range = buf_init(64);
    struct http_header headers[2];
    char hex[DIGEST_HEX_SIZE];
    struct error err;
    struct api_call_spec spec = {
        .method = HTTP_GET, .headers = headers, .on_body = on_body, .done = on_done, .context = lane
    };
    int r;

    lane->from = lane->body.offset;
    digest_hex(&lane->blob->sha256, hex);
    api_path_blob(&path, options->project, options->app, options->version, hex);
    if (lane->asks_delta) {
        digest_hex(&lane->blob->base->sha256, hex);
        buf_format(&path, "?from=%s", hex);
    }
    buf_format(&range, "bytes=%llu-", (unsigned long long)lane->body.offset);
    if (lane->body.offset > 0)
        headers[spec.header_count++] = (struct http_header){ "Range", buf_text(&range) };
    lane->may_come_later =
        lane->asks_delta && lane->blob->base->times_late < PULL_DELTA_LATER_TIMES;
    if (lane->may_come_later)
        headers[spec.header_count++] = (struct http_header){ "Prefer", "respond-async" };
    spec.path = buf_text(&path);
    r = buf_check(&path, &err);
    if (r == 0)
        r = buf_check(&range, &err);
    if (r == 0)
        r = api_call_start(options->transfer->client, &spec, &lane->call, &err);
    if (r == 0 && lane->asks_delta) {
        lane->has_turn = true;
        pull_queue_take_turn(&lane->fetching->queue);
    }
    if (r < 0)
        lane_fail(lane, r, &err);
}

void lane_fetch(struct lane *lane)
{
    struct error err;
    int r;

    lane->disk_failed = false;
    lane->asks_delta = lane->blob->base != NULL && lane->blob->base->is_known;
    r = open_part(lane, &err);
    if (r < 0)
        lane_fail(lane, r, &err);
    else
        ask(lane);
}

static bool is_over(void *context)
{
    const struct fetching *fetching = context;

    for (size_t i = 0; i < fetching->lane_count; i++) {
        if (fetching->lanes[i].blob != NULL)
            return fetching->result != 0;
    }
    return fetching->result != 0 || (fetching->queue.late == 0 && !fetching->is_posted);
}

static void run(struct fetching *fetching)
{
    struct error err;
    int r = 0;

    while (r == 0 && !is_over(fetching)) {
        r = http_loop_run_until(fetching->loop, is_over, fetching, clock_monotonic_ms() + TURN_MS,
                                &err);
        if (r == -ETIMEDOUT)
            r = transfer_stopped(fetching->options->transfer, &err);
    }
    http_timer_clear(fetching->loop, &fetching->pause);
    if (r < 0 && fetching->result == 0) {
        fetching->result = r;
        fetching->error = err;
    }
    for (size_t i = 0; i < fetching->lane_count; i++) {
        if (fetching->lanes[i].call != NULL)
            api_call_cancel(fetching->lanes[i].call);
        hash_behind_drop(fetching->lanes[i].body.hash);
    }
    /* What is at a thread comes back to the loop before its lane may go. */
    if (fetching->workers != NULL)
        workers_drain(fetching->workers);
    while (fetching->at_threads > 0 || fetching->is_posted)
        http_loop_run_once(fetching->loop, TURN_MS, NULL);
    for (size_t i = 0; i < fetching->lane_count; i++)
        lane_end(&fetching->lanes[i]);
}

static bool has_bases(const struct pull_fetch_options *options)
{
    for (size_t i = 0; i < options->count; i++)
        if (!options->blobs[i].is_here && options->blobs[i].base != NULL &&
            options->blobs[i].base->is_known)
            return true;
    return false;
}

int pull_fetch(const struct pull_fetch_options *options, struct error *err)
{
    struct fetching fetching = { .options = options };
    cleanup_memory struct lane *lanes = NULL;
    int r = 0;

    fetching.loop = api_client_loop(options->transfer->client);
    fetching.queue = pull_queue_init(options->blobs, options->count);
    fetching.pause = (struct http_timer){ .function = lanes_pause_is_over, .context = &fetching };
    fetching.filler = (struct http_post){ .function = turn_is_left, .context = &fetching };
    fetching.lane_count = options->transfer->concurrency;
    fetching.lanes = lanes = memory_array(fetching.lane_count, sizeof(*lanes));
    if (lanes == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < fetching.lane_count; i++) {
        lanes[i].fetching = &fetching;
        lanes[i].body.fd = -1;
        lanes[i].hashed = (struct http_post){ .function = body_is_hashed, .context = &lanes[i] };
        lanes[i].patched =
            (struct http_post){ .function = lane_delta_is_applied, .context = &lanes[i] };
    }
    /* One thread, so that one patch's memory is what they take. */
    if (has_bases(options))
        r = workers_new(&fetching.workers, 1, fetching.lane_count, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < fetching.lane_count; i++)
        lane_fill(&lanes[i]);
    run(&fetching);
    workers_free(fetching.workers);
    return fetching.result < 0 ? error_set(err, fetching.result, "%s", fetching.error.text) : 0;
}
