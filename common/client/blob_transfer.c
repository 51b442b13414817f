/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/workers.h"
#include "common/client/blob_fetch_private.h"

#define LEVELS_MAX (64 * 1024 * 1024)

bool transfer_is_of_merkle(const struct transfer *transfer)
{
    return transfer->is_levels || transfer->is_bottoms;
}

bool transfer_is_collected(const struct transfer *transfer)
{
    return transfer->is_levels || transfer->is_bottoms || transfer->is_blocks;
}

static bool is_sparse(const struct transfer *transfer)
{
    return transfer->is_bottoms || transfer->is_blocks;
}

/* Ends --------------------------------------------------------------------- */

static void transfer_free(struct transfer *transfer)
{
    buf_release(&transfer->collected);
    blob_object_unref(transfer->object);
    memory_free(transfer);
}

static void transfer_unlink(struct transfer *transfer)
{
    struct blob_fetch *engine = transfer->engine;

    if (transfer->next != NULL)
        transfer->next->previous = transfer->previous;
    if (transfer->previous != NULL)
        transfer->previous->next = transfer->next;
    else
        engine->transfers = transfer->next;
    if (transfer->is_prefetch)
        engine->prefetches--;
    if (is_sparse(transfer))
        engine->sparse_requests--;
    http_timer_clear(engine->loop, &transfer->watch);
}

/* The pieces that did not become whole; the first of them. */
static uint64_t drop_unfinished(struct transfer *transfer)
{
    uint64_t first = transfer->at / BLOB_PIECE_SIZE;

    for (uint64_t index = first; index * BLOB_PIECE_SIZE < transfer->end; index++) {
        struct piece *piece = piece_find(transfer->object, index);

        if (piece != NULL && piece->state == PIECE_FETCHING)
            piece_drop(piece);
    }
    return first;
}

static void levels_came_wrong(struct blob_object *object, size_t server, int code,
                              const struct error *err)
{
    struct blob_fetch *engine = object->engine;
    bool left;

    engine_note_wrong(engine, server, code, err);
    object_note_failure(object, err);
    object->levels_tried |= (uint64_t)1 << server;
    left = servers_is_left(api_client_servers(engine->client), object->levels_tried);
    if (object->reads == NULL || (!left && object->levels_around)) {
        object_fail(object, code, err);
        object_drop_held(object);
    } else {
        object->levels_around = !left;
        object_advance(object);
    }
}

/* Whether another server may know better than this answer: 401 and 403 are what they are, whoever
 * says them, and so is what is said in the API's words. */
static bool is_doubtful(const struct leg *leg)
{
    const struct blob_object *object = leg->transfer->object;

    return !leg->is_ours && leg->status != 401 && leg->status != 403 &&
           servers_is_left(api_client_servers(object->engine->client),
                           object->tried | (uint64_t)1 << leg->server);
}

/* An answer that another try would not change. */
static void answered_no(struct leg *leg, int code, const struct error *err)
{
    struct blob_object *object = leg->transfer->object;
    bool moved;

    pthread_mutex_lock(&object->engine->lock);
    moved = object->path_number != leg->transfer->path_number;
    pthread_mutex_unlock(&object->engine->lock);
    if (moved) {
        object_advance(object);
    } else if (is_doubtful(leg)) {
        api_client_note(object->engine->client, leg->server, SERVER_WRONG, err->text);
        object_retry(object, leg->server, 0);
    } else {
        object_fail(object, code, err);
    }
}

/* Whether any server is there that may have it. */
static bool is_hopeless(const struct leg *leg)
{
    return leg->is_strange &&
           !servers_is_left(api_client_servers(leg->transfer->engine->client), 0);
}

/* Why a transfer did not bring all, and what follows from it. */
static void transfer_failed(struct leg *leg, int code, const struct error *err)
{
    struct transfer *transfer = leg->transfer;
    struct blob_object *object = transfer->object;
    uint64_t first = 0;

    if (transfer->is_levels)
        object->levels = LEVELS_NONE;
    else
        first = drop_unfinished(transfer);
    if (code == -ECANCELED && !leg->is_wrong)
        return;
    if (leg->is_wrong) {
        if (transfer->is_levels)
            levels_came_wrong(object, leg->server, -EIO, err);
        else if (transfer->at < transfer->end)
            piece_came_wrong(object, first, leg->server, -EIO, err);
        else /* all came, and then more */
            engine_note_wrong(object->engine, leg->server, -EIO, err);
        return;
    }
    object->last_err = *err;
    object_note_failure(object, err);
    if (is_hopeless(leg))
        object_fail(object, code, err);
    else if (leg->is_strange)
        object_retry(object, leg->server, 0);
    else if (leg->status >= 400 && retry_judge(0, leg->status) == RETRY_DONE)
        answered_no(leg, code, err);
    else if (leg->status < 400 && retry_judge(code, 0) == RETRY_NEVER && code != -ENOMEM &&
             !is_doubtful(leg))
        object_fail(object, code, err);
    else
        object_retry(object, leg->server, leg->retry_after_ms);
}

static void levels_checked(void *context);

static void check_levels(void *context)
{
    struct transfer *transfer = context;

    transfer->levels_result =
        blob_entry_set_levels(transfer->object->entry, transfer->collected.bytes,
                              transfer->collected.size, &transfer->err);
    http_loop_post_at(transfer->engine->loop, &transfer->levels_post);
}

static void levels_checked(void *context)
{
    struct transfer *transfer = context;
    struct blob_object *object = transfer->object;
    struct blob_fetch *engine = transfer->engine;

    engine->jobs--;
    if (transfer->levels_result < 0) {
        object->levels = LEVELS_NONE;
        levels_came_wrong(object, transfer->lead->server, transfer->levels_result, &transfer->err);
    } else {
        object->levels = LEVELS_READY;
        for (struct piece *piece = object->pieces; piece != NULL; piece = piece->next) {
            if (piece->state == PIECE_HELD)
                piece_check(piece);
        }
        object_advance(object);
    }
    transfer_free(transfer);
    engine_go_on(engine);
}

void transfer_ended(struct leg *leg, int code, struct error *err)
{
    struct transfer *transfer = leg->transfer;
    struct blob_fetch *engine = transfer->engine;

    transfer_unlink(transfer);
    if (code == 0 && transfer->is_levels && !engine->is_closing) {
        transfer->levels_post =
            (struct http_post){ .function = levels_checked, .context = transfer };
        engine->jobs++;
        workers_submit(engine->pool, check_levels, transfer);
        return;
    }
    if (is_sparse(transfer))
        sparse_came(leg, code, err);
    else if (code != 0)
        transfer_failed(leg, code, err);
    transfer_free(transfer);
    engine_go_on(engine);
}

/* Starts ------------------------------------------------------------------- */

static void link_transfer(struct transfer *transfer)
{
    struct blob_fetch *engine = transfer->engine;

    transfer->next = engine->transfers;
    if (transfer->next != NULL)
        transfer->next->previous = transfer;
    engine->transfers = transfer;
    if (transfer->is_prefetch)
        engine->prefetches++;
    if (is_sparse(transfer))
        engine->sparse_requests++;
    if (engine->tick.place == 0)
        http_timer_set(engine->loop, &engine->tick, clock_monotonic_ms() + BLOB_TICK_MS);
}

static struct transfer *transfer_new(struct blob_object *object)
{
    struct transfer *transfer = memory_new(sizeof(*transfer));

    if (transfer == NULL)
        return NULL;
    transfer->engine = object->engine;
    transfer->object = blob_object_ref(object);
    for (size_t i = 0; i < 2; i++)
        transfer->legs[i].transfer = transfer;
    transfer->lead = &transfer->legs[0];
    return transfer;
}

/* The wish was not met: as if the server were away. */
static int start_failed(struct transfer *transfer, size_t server, int code, const struct error *err)
{
    struct blob_object *object = transfer->object;

    transfer_unlink(transfer);
    if (!transfer->is_levels)
        drop_unfinished(transfer);
    object->last_err = *err;
    object_retry(object, server, 0);
    transfer_free(transfer);
    return code;
}

static int send_first(struct transfer *transfer, size_t server, struct error *err)
{
    int r = leg_start(transfer->lead, transfer, server, transfer->begin, err);

    if (r < 0)
        return r;
    if (!transfer->is_prefetch)
        servers_earn_hedge(api_client_servers(transfer->engine->client));
    transfer_watch(transfer);
    return 0;
}

int transfer_start(struct blob_object *object, uint64_t first, uint64_t count, bool prefetch)
{
    struct bad_piece *bad = object_bad(object, first);
    size_t server = object_server(object, bad != NULL ? bad->tried : 0);
    struct transfer *transfer = transfer_new(object);
    struct error err = { 0 };
    int r = 0;

    if (transfer == NULL)
        return -ENOMEM;
    transfer->begin = transfer->at = first * BLOB_PIECE_SIZE;
    transfer->end = (first + count) * BLOB_PIECE_SIZE;
    if (transfer->end > object->key.size)
        transfer->end = object->key.size;
    transfer->is_prefetch = prefetch;
    transfer->is_around = bad != NULL && bad->around;
    link_transfer(transfer);
    for (uint64_t i = 0; i < count && r == 0; i++) {
        if (piece_new(object, first + i) == NULL)
            r = error_set(&err, -ENOMEM, "out of memory");
    }
    if (r == 0)
        r = send_first(transfer, server, &err);
    return r < 0 ? start_failed(transfer, server, r, &err) : 0;
}

int transfer_start_levels(struct blob_object *object)
{
    size_t server = object_server(object, object->levels_tried);
    struct transfer *transfer = transfer_new(object);
    uint64_t size = blob_levels_size(object->key.size);
    struct error err = { 0 };
    int r = 0;

    if (transfer == NULL)
        return -ENOMEM;
    transfer->is_levels = true;
    transfer->is_around = object->levels_around;
    transfer->end = size;
    transfer->collected = buf_init((size_t)(size < LEVELS_MAX ? size : LEVELS_MAX));
    link_transfer(transfer);
    if (size > LEVELS_MAX)
        r = error_set(&err, -EFBIG, "an object larger than 1 TiB");
    if (r == 0)
        r = send_first(transfer, server, &err);
    return r < 0 ? start_failed(transfer, server, r, &err) : 0;
}

/* The rest is for sparse reads, which have another way when this one fails. */
static int start_sparse(struct transfer *transfer)
{
    struct blob_object *object = transfer->object;
    int r;

    transfer->at = transfer->begin;
    transfer->collected = buf_init((size_t)(transfer->end - transfer->begin));
    link_transfer(transfer);
    r = send_first(transfer, object_server(object, 0), &transfer->err);
    if (r == 0)
        return 0;
    transfer_unlink(transfer);
    object_note_failure(object, &transfer->err);
    transfer_free(transfer);
    return r;
}

int transfer_start_bottoms(struct blob_object *object, uint64_t first, uint64_t count)
{
    struct transfer *transfer = transfer_new(object);
    struct merkle_shape shape;

    if (transfer == NULL)
        return -ENOMEM;
    merkle_shape_of(object->key.size, &shape, NULL);
    transfer->is_bottoms = true;
    transfer->piece = first;
    transfer->begin = shape.bottom_offset + first * MERKLE_BLOCK_SIZE;
    transfer->end = transfer->begin + count * MERKLE_BLOCK_SIZE;
    return start_sparse(transfer);
}

int transfer_start_blocks(struct blob_read *read)
{
    struct blob_object *object = read->object;
    struct transfer *transfer = transfer_new(object);
    struct merkle_shape shape;
    struct merkle_range range;
    int r;

    if (transfer == NULL)
        return -ENOMEM;
    merkle_shape_of(object->key.size, &shape, NULL);
    range = merkle_data_range(&shape, read->offset, read->size);
    transfer->is_blocks = true;
    transfer->piece = read->offset / BLOB_PIECE_SIZE;
    transfer->begin = range.offset;
    transfer->end = range.offset + range.size;
    transfer->reader = read;
    r = start_sparse(transfer);
    if (r == 0)
        read->blocks = transfer;
    return r;
}

/* Pauses ------------------------------------------------------------------- */

static bool is_wanted(const struct transfer *transfer)
{
    return object_wants(transfer->object, transfer->at / BLOB_PIECE_SIZE);
}

void transfer_cancel(struct transfer *transfer)
{
    leg_drop(leg_other(transfer->lead));
    http_request_cancel(transfer->lead->request);
}

void transfers_resume(struct blob_fetch *engine)
{
    bool room = engine->buffer_bytes + BLOB_PIECE_SIZE <= engine->options.memory_bytes;

    for (struct transfer *transfer = engine->transfers; transfer != NULL;
         transfer = transfer->next) {
        if (transfer->is_paused && (room || is_wanted(transfer))) {
            transfer->is_paused = false;
            http_request_resume(transfer->lead->request);
        }
    }
}

void transfers_age(struct blob_fetch *engine)
{
    uint64_t now = clock_monotonic_ms();
    struct transfer *transfer = engine->transfers;

    transfers_resume(engine);
    while (transfer != NULL) {
        if (transfer->is_paused && now - transfer->paused_ms > BLOB_PAUSED_MS &&
            !is_wanted(transfer)) {
            transfer_cancel(transfer);
            transfer = engine->transfers; /* it is gone, and others may be */
        } else {
            transfer = transfer->next;
        }
    }
}

void transfer_cancel_all(struct blob_fetch *engine)
{
    while (engine->transfers != NULL)
        transfer_cancel(engine->transfers);
}
