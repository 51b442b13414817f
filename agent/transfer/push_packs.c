/* SPDX-License-Identifier: MIT */
#include "agent/transfer/push_packs.h"

#include <errno.h>
#include <string.h>

#include "agent/transfer/push_retry.h"
#include "agent/transfer/scan.h"
#include "agent/transfer/stat_cache.h"
#include "agent/transfer/transfer.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/workers.h"
#include "common/client/api_pushes.h"
#include "common/model/bitmap.h"
#include "common/model/pack.h"
#include "common/net/http_loop.h"

#define TURN_MS 200
#define PACK_FILES 1024
#define PACK_BYTES ((uint64_t)2 << 20) /* of files; a pack has at most one file more */
#define LEVEL 1                        /* of zstd: a faster network than that needs none */

struct packed_file {
    const struct scan_entry *entry;
    uint64_t file_index; /* its bit */
};

/* One pack at a time: made on a thread, then sent. */
struct lane {
    struct packing *packing;
    struct packed_file files[PACK_FILES];
    size_t count; /* 0: idle */
    uint64_t bytes;
    struct buf pack;
    uint8_t *room; /* one file */
    int result;    /* of making it: 0, PUSH_SEND_CHANGED, or an error */
    const char *changed;
    struct error error;
    struct http_post made;
    struct push_retry retry;
    struct api_call *call;
};

struct packing {
    const struct push_send_options *options;
    uint8_t *missing;
    struct http_loop *loop;
    struct workers *workers;
    struct lane *lanes;
    size_t lane_count;
    size_t making; /* lanes that are at a worker */
    size_t entry_index;
    uint64_t file_index;
    bool compress;
    bool refused; /* the server knows no packs, or this push no more */
    int result;   /* first failure, or PUSH_SEND_CHANGED */
    struct error error;
    const char *changed;
};

static void fail(struct lane *lane, int r, const struct error *err)
{
    struct packing *packing = lane->packing;

    if (packing->result == 0) {
        packing->result = r;
        packing->changed = lane->changed;
        if (r < 0)
            packing->error = *err;
    }
    push_retry_clear(&lane->retry);
    lane->count = 0;
}

/* Making a pack, on a thread ------------------------------------------------ */

/* Whole and as it was hashed: 0, PUSH_SEND_CHANGED, or an error. */
static int read_file(struct lane *lane, const struct scan_entry *entry, struct error *err)
{
    const struct push_send_options *options = lane->packing->options;
    cleanup_fd int fd = -1;
    struct file_info before, after;
    size_t got = 0;
    int r = directory_open_read(options->root, entry->path, &fd, err);

    if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP || r == -EINVAL)
        return PUSH_SEND_CHANGED;
    if (r == 0)
        r = file_info(fd, &before, err);
    if (r == 0 && stat_stamp(&before) != entry->stamp)
        return PUSH_SEND_CHANGED;
    if (r == 0)
        r = file_read_at(fd, 0, lane->room, (size_t)entry->size, &got, err);
    if (r == 0)
        r = file_info(fd, &after, err);
    if (r < 0)
        return r;
    return got == entry->size && stat_stamp(&after) == entry->stamp ? 0 : PUSH_SEND_CHANGED;
}

static int add_file(struct lane *lane, struct pack_writer *writer, const struct scan_entry *entry)
{
    struct span bytes = span_of(lane->room, (size_t)entry->size);
    int r = transfer_stopped(lane->packing->options->transfer, &lane->error);

    if (r == 0)
        r = read_file(lane, entry, &lane->error);
    if (r != 0) {
        lane->changed = entry->path;
        return r < 0 ? error_prefix(&lane->error, r, "%s", entry->path) : r;
    }
    if (lane->packing->compress)
        return pack_writer_add(writer, &entry->sha256, bytes, &lane->error);
    return pack_writer_add_stored(writer, &entry->sha256, entry->size, PACK_RAW, bytes,
                                  &lane->error);
}

static int make_pack(struct lane *lane)
{
    struct pack_writer *writer;
    int r;

    buf_clear(&lane->pack);
    r = pack_writer_new(&writer, LEVEL, sink_to_buf(&lane->pack), &lane->error);
    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < lane->count; i++)
        r = add_file(lane, writer, lane->files[i].entry);
    if (r == 0)
        r = pack_writer_end(writer, &lane->error);
    pack_writer_free(writer);
    return r;
}

static void work(void *context)
{
    struct lane *lane = context;

    lane->result = make_pack(lane);
    http_loop_post_at(lane->packing->loop, &lane->made);
}

/* Sending, on the loop ------------------------------------------------------ */

/* The next small file whose bit is set. */
static bool next_small(struct packing *packing, struct packed_file *out)
{
    const struct scan *scan = packing->options->scan;

    while (packing->entry_index < scan_count(scan)) {
        const struct scan_entry *entry = scan_entry_at(scan, packing->entry_index++);
        uint64_t file_index;

        if (entry->kind != ENTRY_FILE)
            continue;
        file_index = packing->file_index++;
        if (entry->size <= PUSH_PACKS_FILE_MAX && bitmap_get(packing->missing, file_index)) {
            *out = (struct packed_file){ entry, file_index };
            return true;
        }
    }
    return false;
}

static void fill_lane(struct lane *lane)
{
    struct packing *packing = lane->packing;

    lane->count = 0;
    lane->bytes = 0;
    push_retry_reset(&lane->retry);
    if (packing->result != 0 || packing->refused)
        return;
    while (lane->count < PACK_FILES && lane->bytes < PACK_BYTES &&
           next_small(packing, &lane->files[lane->count]))
        lane->bytes += lane->files[lane->count++].entry->size;
    if (lane->count == 0)
        return;
    packing->making++;
    workers_submit(packing->workers, work, lane);
}

static bool is_failed(const struct buf *failed, const struct digest *sha256)
{
    for (size_t at = 0; at < failed->size; at += DIGEST_SIZE)
        if (memcmp(failed->bytes + at, sha256->bytes, DIGEST_SIZE) == 0)
            return true;
    return false;
}

/* The server has them, but for those that it named. */
static int pack_is_taken(struct lane *lane, const struct api_answer *answer, struct error *err)
{
    cleanup(buf_release) struct buf failed = buf_init(BUF_UNLIMITED);
    struct packing *packing = lane->packing;
    uint64_t files = 0, bytes = 0;
    bool all_named = false;
    int r = api_push_pack_read(answer, &failed, &all_named, err);

    if (r < 0)
        return r;
    for (size_t i = 0; all_named && i < lane->count; i++) {
        const struct packed_file *file = &lane->files[i];

        if (is_failed(&failed, &file->entry->sha256))
            continue;
        bitmap_clear(packing->missing, file->file_index);
        files++;
        bytes += file->entry->size;
    }
    transfer_done(packing->options->transfer, files, bytes);
    return 0;
}

static void send_pack(struct lane *lane);

static void on_timer(void *context)
{
    send_pack(context);
}

static void try_again(struct lane *lane, int code, const struct error *cause)
{
    if (!push_retry_later(&lane->retry, lane->packing->options->transfer))
        fail(lane, code, cause);
}

static void on_answer(void *context, const struct api_answer *answer)
{
    struct lane *lane = context;
    struct packing *packing = lane->packing;
    struct error err;
    int r;

    lane->call = NULL;
    if (packing->result != 0) {
        lane->count = 0;
        return;
    }
    if (answer->status == 404 || answer->status == 405) { /* push_send() finds out which */
        packing->refused = true;
        lane->count = 0;
        return;
    }
    if (strcmp(answer->problem.code, "validation") == 0) { /* damaged on its way: they go alone */
        fill_lane(lane);
        return;
    }
    if (answer->code != 0) {
        if (retry_judge(answer->code, answer->status) == RETRY_NEXT)
            try_again(lane, answer->code, &answer->err);
        else
            fail(lane, answer->code, &answer->err);
        return;
    }
    r = pack_is_taken(lane, answer, &err);
    if (r < 0)
        fail(lane, r, &err);
    else
        fill_lane(lane);
}

static void send_pack(struct lane *lane)
{
    const struct push_send_options *options = lane->packing->options;
    struct error err;
    int r = api_push_pack_start(options->transfer->client, options->spec, options->id,
                                buf_span(&lane->pack), on_answer, lane, &lane->call, &err);

    if (r < 0)
        fail(lane, r, &err);
}

static void pack_is_made(void *context)
{
    struct lane *lane = context;
    struct packing *packing = lane->packing;

    packing->making--;
    if (lane->result < 0)
        fail(lane, transfer_local(packing->options->transfer, lane->result), &lane->error);
    else if (lane->result > 0)
        fail(lane, lane->result, NULL);
    else if (packing->result != 0)
        lane->count = 0;
    else
        send_pack(lane);
}

/* Running ------------------------------------------------------------------- */

static bool is_over(void *context)
{
    const struct packing *packing = context;

    for (size_t i = 0; i < packing->lane_count; i++)
        if (packing->lanes[i].count > 0)
            return packing->result != 0;
    return true;
}

static bool none_is_made(void *context)
{
    return ((const struct packing *)context)->making == 0;
}

static void run(struct packing *packing)
{
    struct error err;
    int r = 0;

    while (r == 0 && !is_over(packing)) {
        r = http_loop_run_until(packing->loop, is_over, packing, clock_monotonic_ms() + TURN_MS,
                                &err);
        if (r == -ETIMEDOUT)
            r = transfer_stopped(packing->options->transfer, &err);
    }
    if (r < 0 && packing->result == 0) {
        packing->result = r;
        packing->error = err;
    }
    for (size_t i = 0; i < packing->lane_count; i++) {
        if (packing->lanes[i].call != NULL)
            api_call_cancel(packing->lanes[i].call);
        push_retry_clear(&packing->lanes[i].retry);
    }
    /* What is at a thread comes back to the loop before its lane may go. An interrupted loop still
     * takes what was posted. */
    workers_drain(packing->workers);
    while (!none_is_made(packing))
        http_loop_run_once(packing->loop, 0, NULL);
}

static int prepare(struct packing *packing, struct error *err)
{
    int r;

    packing->lanes = memory_array(packing->lane_count, sizeof(*packing->lanes));
    if (packing->lanes == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < packing->lane_count; i++) {
        struct lane *lane = &packing->lanes[i];

        lane->packing = packing;
        lane->pack = buf_init(BUF_UNLIMITED);
        lane->made = (struct http_post){ .function = pack_is_made, .context = lane };
        push_retry_init(&lane->retry, packing->loop, on_timer, lane);
        lane->room = memory_resize(NULL, PUSH_PACKS_FILE_MAX, 1);
        if (lane->room == NULL)
            return error_set(err, -ENOMEM, "out of memory");
    }
    r = workers_new(&packing->workers, packing->options->transfer->threads, packing->lane_count,
                    err);
    return r;
}

static void release(struct packing *packing)
{
    packing->workers = workers_free(packing->workers);
    for (size_t i = 0; packing->lanes != NULL && i < packing->lane_count; i++) {
        buf_release(&packing->lanes[i].pack);
        memory_free(packing->lanes[i].room);
    }
    memory_free(packing->lanes);
}

int push_packs(const struct push_send_options *options, uint8_t *missing, const char **out_path,
               struct error *err)
{
    struct packing packing = { .options = options,
                               .missing = missing,
                               .loop = api_client_loop(options->transfer->client),
                               .lane_count = options->transfer->concurrency,
                               .compress = !api_client_is_local(options->transfer->client) };
    int r;

    if (packing.lane_count > PUSH_PACKS_LANES)
        packing.lane_count = PUSH_PACKS_LANES;
    r = prepare(&packing, err);
    if (r == 0) {
        for (size_t i = 0; i < packing.lane_count; i++)
            fill_lane(&packing.lanes[i]);
        run(&packing);
        r = packing.result;
        if (r < 0)
            error_set(err, r, "%s", packing.error.text);
        else if (r > 0)
            *out_path = packing.changed;
    }
    release(&packing);
    return r;
}
