/* SPDX-License-Identifier: MIT */
#include "agent/transfer/push_lanes.h"

#include <errno.h>
#include <string.h>

#include "agent/transfer/part_ahead.h"
#include "agent/transfer/part_coding.h"
#include "agent/transfer/part_pair.h"
#include "agent/transfer/push_packs.h"
#include "agent/transfer/push_retry.h"
#include "agent/transfer/stat_cache.h"
#include "agent/transfer/transfer.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/workers.h"
#include "common/model/problem.h"
#include "common/net/http_loop.h"

#define TURN_MS 200 /* how long a wait for the network lasts before stopping is looked for */
#define PACKERS 2   /* files whose parts are packed at a time: each has two parts in memory */

/* One file on its way at a time. */
struct lane {
    struct sending *sending;
    bool has_file; /* or it is idle */
    struct push_file file;
    struct digest sha256; /* of one that had none when it began */
    int fd;
    uint64_t offset;
    uint64_t sent; /* counted in the meter */
    bool damaged;  /* the server found other bytes once */
    struct part_pair pair;
    struct api_call *asking; /* where the upload stands; or NULL */
    struct push_retry retry;
    int cause; /* why it tries again: a code, 0: it does not */
    struct error cause_error;
    bool packs;    /* its parts go in zstd */
    bool has_turn; /* one of PACKERS */
    bool waits;    /* for a turn */
    bool unnamed;  /* its last part waits for its digest */
    struct part_ahead ahead;
};

struct sending {
    const struct push_lanes_options *options;
    struct http_loop *loop;
    struct lane *lanes;
    size_t lane_count;
    struct workers *workers; /* that pack parts, once there is one to pack */
    size_t packers;          /* lanes that have a turn */
    bool in_order;           /* the server lets no part wait for another */
    int result;              /* first failure, or PUSH_SEND_CHANGED */
    struct error error;
    const char *changed;
};

static void send_part(struct lane *lane);
static void ask_offset(struct lane *lane);

/* The next that waits for a turn has it. */
static void pass_turn(struct sending *sending)
{
    sending->packers--;
    for (size_t i = 0; i < sending->lane_count; i++) {
        struct lane *next = &sending->lanes[i];

        if (next->waits && sending->result == 0) {
            next->waits = false;
            send_part(next);
            return;
        }
    }
}

/* Nothing is told of the answer any more. */
static void stop_asking(struct lane *lane)
{
    struct api_call *call = lane->asking;

    lane->asking = NULL;
    if (call != NULL)
        api_call_cancel(call);
}

static void lane_end(struct lane *lane)
{
    bool had_turn = lane->has_turn;

    part_pair_end(&lane->pair);
    stop_asking(lane);
    lane->has_turn = lane->waits = lane->unnamed = lane->packs = false;
    part_ahead_end(&lane->ahead);
    if (!part_ahead_busy(&lane->ahead))
        cleanup_fd_at(&lane->fd);
    push_retry_clear(&lane->retry);
    lane->has_file = false;
    if (had_turn)
        pass_turn(lane->sending);
}

static void fail(struct lane *lane, int r, const struct error *err)
{
    struct sending *sending = lane->sending;

    if (sending->result == 0) {
        sending->result = r;
        if (r < 0) {
            sending->error = *err;
            error_prefix(&sending->error, r, "%s", lane->file.path);
        } else {
            sending->changed = lane->file.path;
        }
    }
    lane_end(lane);
}

/* Opens the file and checks that it is what was hashed. */
static int open_file(struct lane *lane, struct error *err)
{
    struct file_info info;
    int r = directory_open_read(lane->sending->options->root, lane->file.path, &lane->fd, err);

    if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP || r == -EINVAL)
        return PUSH_SEND_CHANGED;
    if (r == 0)
        r = file_info(lane->fd, &info, err);
    if (r < 0)
        return transfer_local(lane->sending->options->transfer, r);
    return stat_stamp(&info) == lane->file.stamp ? 0 : PUSH_SEND_CHANGED;
}

static bool file_is_unchanged(const struct lane *lane)
{
    struct file_info info;

    return file_info(lane->fd, &info, NULL) == 0 && stat_stamp(&info) == lane->file.stamp;
}

/* Idle lanes take the next files. */
static void fill_lane(struct lane *lane)
{
    struct sending *sending = lane->sending;
    const struct push_lanes_options *options = sending->options;
    struct error err = { 0 };
    int r;

    if (sending->result != 0 || part_ahead_busy(&lane->ahead))
        return;
    lane->has_file = options->source.next(options->source.context, &lane->file);
    if (!lane->has_file)
        return;
    lane->offset = lane->sent = 0;
    push_retry_reset(&lane->retry);
    lane->cause = 0;
    lane->damaged = false;
    r = open_file(lane, &err);
    if (r != 0) {
        fail(lane, r, &err);
        return;
    }
    lane->packs =
        lane->file.size > PUSH_PACKS_FILE_MAX && part_coding_pays(lane->fd, lane->file.size);
    part_pair_begin(&lane->pair, lane->fd);
    if (options->is_resumed)
        ask_offset(lane);
    else
        send_part(lane);
}

/* Its last file ended while a thread was at it. */
static void on_idle(void *context)
{
    struct lane *lane = context;

    cleanup_fd_at(&lane->fd);
    fill_lane(lane);
}

/* What broke off may have come in part. */
static void on_timer(void *context)
{
    ask_offset(context);
}

/* Another try after a pause, or the end. */
static void try_again(struct lane *lane, int code, const struct error *cause)
{
    lane->cause = code;
    lane->cause_error = *cause;
    if (!push_retry_later(&lane->retry, lane->sending->options->transfer))
        fail(lane, code, cause);
}

/* Once the server has ended what broke off. One that does not is told by what broke it off. */
static void try_when_free(struct lane *lane, const struct api_answer *answer)
{
    if (push_retry_when_free(&lane->retry))
        return;
    if (lane->cause != 0)
        fail(lane, lane->cause, &lane->cause_error);
    else
        fail(lane, answer->code, &answer->err);
}

static void file_is_sent(struct lane *lane)
{
    if (!file_is_unchanged(lane)) {
        fail(lane, PUSH_SEND_CHANGED, NULL);
        return;
    }
    transfer_done(lane->sending->options->transfer, 1, 0);
    lane_end(lane);
    fill_lane(lane);
}

/* For the meter, which does not go back when a part goes again. */
static void count_sent(struct lane *lane, uint64_t offset)
{
    if (offset > lane->sent) {
        transfer_done(lane->sending->options->transfer, 0, offset - lane->sent);
        lane->sent = offset;
    }
}

static void advance(struct lane *lane, uint64_t offset)
{
    count_sent(lane, offset);
    lane->offset = offset;
}

/* The server holds `offset` bytes: on from there. */
static void go_on_at(struct lane *lane, uint64_t offset)
{
    advance(lane, offset);
    if (offset == lane->file.size)
        file_is_sent(lane);
    else
        send_part(lane);
}

/* The server says that the bytes are not those of the digest, or no frame: what it has of them goes
 * up to `offset`. */
static void bytes_differ(struct lane *lane, uint64_t offset, const struct api_answer *answer)
{
    if (lane->damaged) { /* twice, and the file is as it was: the way is bad */
        transfer_failed(lane->sending->options->transfer, -EBADMSG, EXIT_INTEGRITY);
        fail(lane, -EBADMSG, &answer->err);
        return;
    }
    lane->damaged = true;
    lane->packs = false; /* it may be what damages */
    lane->offset = offset;
    try_again(lane, answer->code, &answer->err);
}

static void on_refusal(struct lane *lane, const struct api_answer *answer)
{
    if (!file_is_unchanged(lane)) { /* cut, perhaps, so that the part ended early */
        fail(lane, PUSH_SEND_CHANGED, NULL);
    } else if (answer->status == 415 && lane->packs) { /* then as it is */
        lane->packs = false;
        send_part(lane);
    } else if (strcmp(answer->problem.code, "offset-mismatch") == 0 &&
               answer->problem.expected_offset <= lane->file.size) {
        bool forward = answer->problem.expected_offset > lane->offset;
        lane->offset = answer->problem.expected_offset;
        if (forward)
            go_on_at(lane, lane->offset);
        else
            try_again(lane, answer->code, &answer->err);
    } else if (strcmp(answer->problem.code, "digest-mismatch") == 0) {
        bytes_differ(lane, 0, answer);
    } else if (answer->status == 422 && lane->packs) {
        bytes_differ(lane, lane->offset, answer);
    } else if (part_pair_is_busy(answer)) {
        try_when_free(lane, answer);
    } else if (retry_judge(answer->code, answer->status) == RETRY_NEXT) {
        try_again(lane, answer->code, &answer->err);
    } else {
        fail(lane, answer->code, &answer->err);
    }
}

static void on_offset(void *context, const struct api_answer *answer)
{
    struct lane *lane = context;
    struct error err = answer->err;
    uint64_t offset = 0;
    int r = answer->code;

    if (lane->asking == NULL) /* it was given up */
        return;
    lane->asking = NULL;
    if (r == 0)
        r = api_push_offset_read(answer, lane->file.size, &offset, &err);
    if (lane->sending->result != 0) {
        lane_end(lane);
    } else if (r == 0) {
        if (offset > lane->offset) { /* a line that breaks all the time, and gets on */
            push_retry_reset(&lane->retry);
            lane->cause = 0;
        }
        go_on_at(lane, offset);
    } else if (answer->status == 404 && lane->file.is_new) {
        go_on_at(lane, 0);
    } else if (answer->status == 409) {
        try_when_free(lane, answer);
    } else if (retry_judge(answer->code, answer->status) == RETRY_NEXT) {
        try_again(lane, r, &err);
    } else {
        fail(lane, r, &err);
    }
}

static void ask_offset(struct lane *lane)
{
    const struct push_lanes_options *options = lane->sending->options;
    const struct api_push_part part = { .sha256 = lane->file.sha256,
                                        .is_new = lane->file.is_new,
                                        .number = lane->file.number };
    struct error err;
    int r = api_push_offset_start(options->transfer->client, options->spec, options->id, &part,
                                  on_offset, lane, &lane->asking, &err);

    if (r < 0)
        fail(lane, r, &err);
}

/* part_pair */
static void on_taken(void *context, uint64_t offset, bool goes_on)
{
    struct lane *lane = context;

    if (lane->sending->result != 0) {
        lane_end(lane);
        return;
    }
    push_retry_reset(&lane->retry);
    lane->cause = 0;
    if (goes_on)
        advance(lane, offset);
    else
        go_on_at(lane, offset);
}

/* part_pair */
static void on_refused(void *context, const struct api_answer *answer, bool too_early)
{
    struct lane *lane = context;

    if (lane->sending->result != 0)
        lane_end(lane);
    else if (too_early)
        send_part(lane);
    else
        on_refusal(lane, answer);
}

/* As many requests at a time as there are lanes. */
static bool may_send_ahead(void *context)
{
    const struct lane *lane = context;
    const struct sending *sending = lane->sending;
    size_t calls = 0;

    for (size_t i = 0; i < sending->lane_count; i++)
        calls += part_pair_calls(&sending->lanes[i].pair);
    return calls < sending->lane_count && sending->result == 0;
}

/* Whether a part of so many bytes may go: the last one of a file without a digest needs that.
 * False: it goes later, or the file has failed. */
static bool is_named(struct lane *lane, uint64_t size)
{
    const struct push_source *source = &lane->sending->options->source;
    int r;

    if (lane->file.sha256 != NULL || lane->offset + size < lane->file.size)
        return true;
    r = source->digest(source->context, &lane->file, &lane->sha256);
    lane->unnamed = r == -EAGAIN;
    if (r > 0)
        fail(lane, r, NULL);
    if (r != 0)
        return false;
    lane->file.sha256 = &lane->sha256;
    return true;
}

static void start_part(struct lane *lane, uint64_t size, struct http_body body, uint64_t unpacked)
{
    const struct api_push_part part = { .sha256 = lane->file.sha256,
                                        .is_new = lane->file.is_new,
                                        .number = lane->file.number,
                                        .offset = lane->offset,
                                        .total = lane->file.size,
                                        .unpacked = unpacked };
    struct error err;
    int r = part_pair_start(&lane->pair, &part, size, body, &err);

    if (r < 0)
        fail(lane, r, &err);
}

static void start_plain(struct lane *lane, uint64_t size)
{
    start_part(lane, size, part_pair_body(lane->fd, lane->offset, size), 0);
}

static void on_packed(void *context, int r, const struct error *err)
{
    struct lane *lane = context;
    const struct part_made *part = &lane->ahead.part;

    if (lane->sending->result != 0)
        lane_end(lane);
    else if (r == -ESTALE)
        fail(lane, PUSH_SEND_CHANGED, NULL);
    else if (r < 0)
        fail(lane, r == -ECANCELED ? r : transfer_local(lane->sending->options->transfer, r), err);
    else if (part->packed)
        start_part(lane, part->size,
                   (struct http_body){ .kind = HTTP_BODY_SPAN,
                                       .span = buf_span(&part->bytes),
                                       .size = part->bytes.size },
                   part->size);
    else
        start_plain(lane, part->size);
}

/* Whether there are threads for it; without them parts go as they are. */
static bool can_pack(struct sending *sending)
{
    return sending->workers != NULL ||
           workers_new(&sending->workers, PACKERS, sending->lane_count, NULL) == 0;
}

static void send_packed(struct lane *lane)
{
    struct sending *sending = lane->sending;
    uint64_t part_size = sending->options->part_size;

    if (!lane->has_turn && sending->packers == PACKERS) {
        lane->waits = true;
        return;
    }
    if (!lane->has_turn) {
        lane->has_turn = true;
        sending->packers++;
        lane->ahead.workers = sending->workers;
        part_ahead_begin(&lane->ahead, lane->fd, lane->file.size,
                         part_size < PART_CODING_SIZE_MAX ? part_size : PART_CODING_SIZE_MAX);
    }
    part_ahead_ask(&lane->ahead, lane->offset);
}

static void send_part(struct lane *lane)
{
    bool packed = lane->packs && lane->offset < lane->file.size && can_pack(lane->sending);
    uint64_t left = lane->file.size - lane->offset;
    uint64_t size = lane->sending->options->part_size;

    if (packed && size > PART_CODING_SIZE_MAX)
        size = PART_CODING_SIZE_MAX;
    if (size > left)
        size = left;
    if (!is_named(lane, size))
        return;
    if (packed)
        send_packed(lane);
    else
        start_plain(lane, size);
}

/* Those whose digest may have come. */
static void send_named(struct sending *sending)
{
    for (size_t i = 0; i < sending->lane_count && sending->result == 0; i++) {
        struct lane *lane = &sending->lanes[i];

        if (lane->unnamed) {
            lane->unnamed = false;
            send_part(lane);
        }
    }
}

/* Asked before each turn of the loop. */
static bool is_over(void *context)
{
    struct sending *sending = context;

    send_named(sending);
    for (size_t i = 0; i < sending->lane_count; i++) {
        const struct lane *lane = &sending->lanes[i];

        if (lane->has_file || part_ahead_busy(&lane->ahead))
            return sending->result != 0;
    }
    return true;
}

static bool is_busy(const struct sending *sending)
{
    for (size_t i = 0; i < sending->lane_count; i++)
        if (part_ahead_busy(&sending->lanes[i].ahead))
            return true;
    return false;
}

/* What is on its way: a part may take long. */
static void count_parts(struct sending *sending)
{
    for (size_t i = 0; i < sending->lane_count; i++) {
        struct lane *lane = &sending->lanes[i];

        if (lane->has_file)
            count_sent(lane, part_pair_reached(&lane->pair));
    }
}

static int run(struct sending *sending, struct error *err)
{
    int r = 0;

    while (r == 0 && !is_over(sending)) {
        r = http_loop_run_until(sending->loop, is_over, sending, clock_monotonic_ms() + TURN_MS,
                                err);
        if (r == -ETIMEDOUT)
            r = transfer_stopped(sending->options->transfer, err);
        count_parts(sending);
    }
    if (r < 0 && sending->result == 0)
        sending->result = r, sending->error = *err;
    for (size_t i = 0; i < sending->lane_count; i++)
        lane_end(&sending->lanes[i]);
    /* What is at a thread comes back to the loop before its lane may go. */
    if (sending->workers != NULL)
        workers_drain(sending->workers);
    while (is_busy(sending))
        http_loop_run_once(sending->loop, 0, NULL);
    return r;
}

int push_lanes_run(const struct push_lanes_options *options, const char **out_path,
                   struct error *err)
{
    struct sending sending = { .options = options };
    cleanup_memory struct lane *lanes = NULL;
    struct error run_error;

    sending.loop = api_client_loop(options->transfer->client);
    sending.lane_count = options->transfer->concurrency;
    sending.lanes = lanes = memory_array(sending.lane_count, sizeof(*lanes));
    if (lanes == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < sending.lane_count; i++) {
        lanes[i].sending = &sending;
        lanes[i].pair = (struct part_pair){ .client = options->transfer->client,
                                            .spec = options->spec,
                                            .id = options->id,
                                            .part_size = options->part_size,
                                            .in_order = &sending.in_order,
                                            .may_send_ahead = may_send_ahead,
                                            .on_taken = on_taken,
                                            .on_refused = on_refused,
                                            .context = &lanes[i],
                                            .fd = -1 };
        lanes[i].fd = -1;
        push_retry_init(&lanes[i].retry, sending.loop, on_timer, &lanes[i]);
        lanes[i].ahead = (struct part_ahead){ .loop = sending.loop,
                                              .stop = options->transfer->stop,
                                              .on_ready = on_packed,
                                              .on_idle = on_idle,
                                              .context = &lanes[i] };
    }
    for (size_t i = 0; i < sending.lane_count; i++)
        fill_lane(&lanes[i]);
    run(&sending, &run_error);
    workers_free(sending.workers);
    if (sending.result < 0)
        return error_set(err, sending.result, "%s", sending.error.text);
    if (sending.result > 0)
        *out_path = sending.changed;
    return sending.result;
}
