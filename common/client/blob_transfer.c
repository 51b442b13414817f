/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "common/base/workers.h"
#include "common/client/blob_fetch_private.h"
#include "common/model/problem.h"

#define LEVELS_MAX (64 * 1024 * 1024)
#define STALL_S 10

/* Answers ------------------------------------------------------------------ */

static int wrong(struct transfer *transfer, struct error *err, const char *what, const char *value)
{
    transfer->is_wrong = true;
    return error_set(err, -EIO, "%s sent %s %.80s",
                     api_client_server(transfer->engine->client, transfer->server), what,
                     value == NULL ? "" : value);
}

/* "bytes A-B/N", exactly what was asked for. */
static bool is_our_range(const struct transfer *transfer, const char *value, uint64_t total)
{
    struct span text = span_text(value), part;
    uint64_t first, last, size;

    if (!span_starts_with(text, span_text("bytes ")))
        return false;
    text = span_slice(text, 6, SIZE_MAX);
    if (!span_cut(&text, '-', &part) || number_parse(part, UINT64_MAX, &first, NULL) < 0 ||
        !span_cut(&text, '/', &part) || number_parse(part, UINT64_MAX, &last, NULL) < 0 ||
        number_parse(text, UINT64_MAX, &size, NULL) < 0)
        return false;
    return first == transfer->begin && last == transfer->end - 1 && size == total;
}

/* Its bytes are of the object's hash tree. */
static bool is_of_merkle(const struct transfer *transfer)
{
    return transfer->is_levels || transfer->is_bottoms;
}

/* Its bytes go to no piece. */
static bool is_collected(const struct transfer *transfer)
{
    return transfer->is_levels || transfer->is_bottoms || transfer->is_blocks;
}

static bool is_our_etag(const struct transfer *transfer, const char *value)
{
    char hex[DIGEST_HEX_SIZE];

    digest_hex(&transfer->object->key.name, hex);
    return strlen(value) == 66 && value[0] == '"' && value[65] == '"' &&
           memcmp(value + 1, hex, 64) == 0;
}

static int check_headers(struct transfer *transfer, const struct http_headers *headers,
                         struct error *err)
{
    struct blob_object *object = transfer->object;
    uint64_t total = object->key.size, length;
    struct merkle_shape shape;
    const char *value;

    if (is_of_merkle(transfer)) {
        merkle_shape_of(object->key.size, &shape, NULL);
        total = shape.object_size;
    }
    if (!transfer->is_whole) {
        value = http_headers_get(headers, "Content-Range");
        if (value == NULL || !is_our_range(transfer, value, total))
            return wrong(transfer, err, "another Content-Range", value);
    }
    value = http_headers_get(headers, "Content-Length");
    if (value != NULL && (number_parse(span_text(value), UINT64_MAX, &length, NULL) < 0 ||
                          length != transfer->end - transfer->begin))
        return wrong(transfer, err, "another Content-Length", value);
    value = http_headers_get(headers, "ETag");
    if (value != NULL && !is_of_merkle(transfer) && !is_our_etag(transfer, value))
        return wrong(transfer, err, "another ETag", value);
    value = http_headers_get(headers, "Content-Encoding");
    if (value != NULL && strcmp(value, "identity") != 0)
        return wrong(transfer, err, "a Content-Encoding", value);
    return 0;
}

static int on_headers(void *context, int status, const struct http_headers *headers,
                      struct error *err)
{
    struct transfer *transfer = context;
    int expected = transfer->is_whole ? 200 : 206;
    char text[16];

    transfer->status = status;
    transfer->retry_after_ms =
        retry_after_parse(http_headers_get(headers, "Retry-After"), clock_now_s());
    if (status == expected)
        return check_headers(transfer, headers, err);
    (void)snprintf(text, sizeof(text), "%d", status);
    if (status < 400 || status == 416)
        return wrong(transfer, err, "the status", text);
    return error_set(err, problem_by_status(status)->error, "%s answered %d",
                     api_client_server(transfer->engine->client, transfer->server), status);
}

/* Up to the next border of a piece. HTTP_PAUSE: no memory for it now. */
static int take_some(struct transfer *transfer, struct span *bytes, struct error *err)
{
    struct piece *piece;
    uint64_t in_piece = transfer->at % BLOB_PIECE_SIZE;
    size_t size;

    if (transfer->at == transfer->end)
        return wrong(transfer, err, "more bytes than it was asked for", NULL);
    piece = piece_find(transfer->object, transfer->at / BLOB_PIECE_SIZE);
    if (piece == NULL || piece->state != PIECE_FETCHING)
        return error_set(err, -ECANCELED, "nobody wants it any more");
    if (piece->buffer == NULL && !piece_get_buffer(piece))
        return HTTP_PAUSE;
    size = piece->size - (size_t)in_piece;
    if (size > bytes->size)
        size = bytes->size;
    memcpy(piece->buffer + in_piece, bytes->bytes, size);
    *bytes = span_slice(*bytes, size, SIZE_MAX);
    transfer->at += size;
    piece->filled += size;
    if (piece->filled == piece->size)
        piece_is_whole(piece);
    return 0;
}

static int on_body(void *context, struct span bytes, struct error *err)
{
    struct transfer *transfer = context;
    size_t whole = bytes.size;
    int r = 0;

    if (is_collected(transfer)) {
        buf_add_span(&transfer->collected, bytes);
        transfer->at += bytes.size;
        r = buf_check(&transfer->collected, err);
        return r == -EFBIG ? wrong(transfer, err, "more bytes than it was asked for", NULL) : r;
    }
    bytes = span_slice(bytes, transfer->skip, SIZE_MAX);
    while (bytes.size > 0 && r == 0)
        r = take_some(transfer, &bytes, err);
    if (r == HTTP_PAUSE) {
        transfer->skip = whole - bytes.size;
        transfer->is_paused = true;
        transfer->paused_ms = clock_monotonic_ms();
        return r;
    }
    transfer->skip = 0;
    return r;
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

    engine_count_wrong(engine, code);
    object_note_failure(object, err);
    object->levels_bad++;
    object->levels_server = server;
    if (object->reads == NULL || object->levels_bad > api_client_server_count(engine->client)) {
        object_fail(object, code, err);
        object_drop_held(object);
    } else {
        object_advance(object);
    }
}

/* Why a transfer did not bring all, and what follows from it. */
static void transfer_failed(struct transfer *transfer, int code, const struct error *err)
{
    struct blob_object *object = transfer->object;
    uint64_t first = 0;

    if (transfer->is_levels)
        object->levels = LEVELS_NONE;
    else
        first = drop_unfinished(transfer);
    if (code == -ECANCELED && !transfer->is_wrong)
        return;
    if (transfer->is_wrong) {
        if (transfer->is_levels)
            levels_came_wrong(object, transfer->server, -EIO, err);
        else if (transfer->at < transfer->end)
            piece_came_wrong(object, first, transfer->server, -EIO, err);
        else /* all came, and then more */
            engine_count_wrong(object->engine, -EIO);
        return;
    }
    object->last_err = *err;
    object_note_failure(object, err);
    if (transfer->status >= 400 && retry_judge(0, transfer->status) == RETRY_DONE) {
        pthread_mutex_lock(&object->engine->lock);
        bool moved = object->path_number != transfer->path_number;
        pthread_mutex_unlock(&object->engine->lock);

        if (moved)
            object_advance(object);
        else
            object_fail(object, code, err);
    } else if (transfer->status < 400 && retry_judge(code, 0) == RETRY_NEVER && code != -ENOMEM) {
        object_fail(object, code, err);
    } else {
        object_retry(object, transfer->retry_after_ms);
    }
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
        levels_came_wrong(object, transfer->server, transfer->levels_result, &transfer->err);
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

static void on_done(void *context, const struct http_result *result)
{
    struct transfer *transfer = context;
    struct blob_fetch *engine = transfer->engine;
    struct error err = result->err;
    int code = result->code;

    transfer_unlink(transfer);
    if (transfer->is_bottoms || transfer->is_blocks)
        engine->sparse_requests--;
    atomic_fetch_add(&engine->fetched_bytes, result->received);
    if (code != -ECANCELED)
        api_client_report(engine->client, transfer->server,
                          code == 0 || transfer->is_wrong ||
                              (transfer->status >= 400 &&
                               retry_judge(0, transfer->status) == RETRY_DONE),
                          transfer->status);
    if (code == 0 && transfer->at < transfer->end)
        code = wrong(transfer, &err, "fewer bytes than it was asked for", NULL);
    if (code == 0 && transfer->is_levels && !engine->is_closing) {
        transfer->levels_post =
            (struct http_post){ .function = levels_checked, .context = transfer };
        engine->jobs++;
        workers_submit(engine->pool, check_levels, transfer);
        return;
    }
    if (transfer->is_bottoms || transfer->is_blocks)
        sparse_came(transfer, code, &err);
    else if (code != 0)
        transfer_failed(transfer, code, &err);
    transfer_free(transfer);
    engine_go_on(engine);
}

/* Starts ------------------------------------------------------------------- */

static int send_request(struct transfer *transfer, bool around_caches, struct error *err)
{
    struct blob_fetch *engine = transfer->engine;
    struct blob_object *object = transfer->object;
    cleanup(buf_release) struct buf url = buf_init(16 * 1024);
    struct http_header headers[4];
    struct http_request_spec spec = { .method = HTTP_GET };
    char range[64];
    int r;

    pthread_mutex_lock(&engine->lock);
    r = api_client_prepare(engine->client, transfer->server,
                           is_of_merkle(transfer) ? object->merkle_path : object->path, &url, &spec,
                           err);
    transfer->path_number = object->path_number;
    pthread_mutex_unlock(&engine->lock);
    if (r < 0)
        return r;
    if (!transfer->is_whole) {
        (void)snprintf(range, sizeof(range), "bytes=%llu-%llu", (unsigned long long)transfer->begin,
                       (unsigned long long)transfer->end - 1);
        headers[spec.header_count++] = (struct http_header){ "Range", range };
    }
    if (around_caches) {
        headers[spec.header_count++] = (struct http_header){ "Cache-Control", "no-cache" };
        headers[spec.header_count++] = (struct http_header){ "Pragma", "no-cache" };
    }
    spec.headers = headers;
    spec.stall_s = STALL_S;
    spec.on_headers = on_headers;
    spec.on_body = on_body;
    spec.on_done = on_done;
    spec.context = transfer;
    atomic_fetch_add(&engine->requests, 1);
    return http_request_start(engine->loop, &spec, &transfer->request, err);
}

static void link_transfer(struct transfer *transfer)
{
    struct blob_fetch *engine = transfer->engine;

    transfer->next = engine->transfers;
    if (transfer->next != NULL)
        transfer->next->previous = transfer;
    engine->transfers = transfer;
    if (transfer->is_prefetch)
        engine->prefetches++;
    if (engine->tick.place == 0)
        http_timer_set(engine->loop, &engine->tick, clock_monotonic_ms() + BLOB_TICK_MS);
}

/* From the server that is thought best; after a wrong answer from the one behind the one that
 * gave it. */
static struct transfer *transfer_new(struct blob_object *object, uint32_t bad_tries,
                                     size_t bad_server)
{
    struct blob_fetch *engine = object->engine;
    struct transfer *transfer = memory_new(sizeof(*transfer));

    if (transfer == NULL)
        return NULL;
    transfer->engine = engine;
    transfer->object = blob_object_ref(object);
    transfer->server = bad_tries == 0 ? api_client_current(engine->client)
                                      : (bad_server + 1) % api_client_server_count(engine->client);
    return transfer;
}

/* The wish was not met: as if the server were away. */
static int start_failed(struct transfer *transfer, int code, const struct error *err)
{
    struct blob_object *object = transfer->object;

    transfer_unlink(transfer);
    if (!transfer->is_levels)
        drop_unfinished(transfer);
    object->last_err = *err;
    object_retry(object, 0);
    transfer_free(transfer);
    return code;
}

int transfer_start(struct blob_object *object, uint64_t first, uint64_t count, bool prefetch)
{
    struct bad_piece *bad = object_bad(object, first);
    uint32_t tries = bad != NULL ? bad->tries : 0;
    struct transfer *transfer = transfer_new(object, tries, bad != NULL ? bad->server : 0);
    struct error err = { 0 };
    int r = 0;

    if (transfer == NULL)
        return -ENOMEM;
    transfer->begin = transfer->at = first * BLOB_PIECE_SIZE;
    transfer->end = (first + count) * BLOB_PIECE_SIZE;
    if (transfer->end > object->key.size)
        transfer->end = object->key.size;
    transfer->is_whole = transfer->begin == 0 && transfer->end == object->key.size;
    transfer->is_prefetch = prefetch;
    link_transfer(transfer);
    for (uint64_t i = 0; i < count && r == 0; i++) {
        struct piece *piece = piece_new(object, first + i);

        if (piece == NULL)
            r = error_set(&err, -ENOMEM, "out of memory");
        else
            piece->server = transfer->server;
    }
    if (r == 0)
        r = send_request(transfer, tries >= api_client_server_count(object->engine->client), &err);
    return r < 0 ? start_failed(transfer, r, &err) : 0;
}

int transfer_start_levels(struct blob_object *object)
{
    struct transfer *transfer = transfer_new(object, object->levels_bad, object->levels_server);
    uint64_t size = blob_levels_size(object->key.size);
    struct error err = { 0 };
    int r = 0;

    if (transfer == NULL)
        return -ENOMEM;
    transfer->is_levels = true;
    transfer->end = size;
    transfer->collected = buf_init((size_t)(size < LEVELS_MAX ? size : LEVELS_MAX));
    link_transfer(transfer);
    if (size > LEVELS_MAX)
        r = error_set(&err, -EFBIG, "an object larger than 1 TiB");
    if (r == 0)
        r = send_request(transfer,
                         object->levels_bad >= api_client_server_count(object->engine->client),
                         &err);
    return r < 0 ? start_failed(transfer, r, &err) : 0;
}

/* The rest is for sparse reads, which have another way when this one fails. */
static int start_sparse(struct transfer *transfer)
{
    struct blob_fetch *engine = transfer->engine;
    int r;

    transfer->at = transfer->begin;
    transfer->collected = buf_init((size_t)(transfer->end - transfer->begin));
    link_transfer(transfer);
    r = send_request(transfer, false, &transfer->err);
    if (r == 0) {
        engine->sparse_requests++;
        return 0;
    }
    transfer_unlink(transfer);
    object_note_failure(transfer->object, &transfer->err);
    transfer_free(transfer);
    return r;
}

int transfer_start_bottoms(struct blob_object *object, uint64_t first, uint64_t count)
{
    struct transfer *transfer = transfer_new(object, 0, 0);
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
    struct transfer *transfer = transfer_new(object, 0, 0);
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

void transfers_resume(struct blob_fetch *engine)
{
    bool room = engine->buffer_bytes + BLOB_PIECE_SIZE <= engine->options.memory_bytes;

    for (struct transfer *transfer = engine->transfers; transfer != NULL;
         transfer = transfer->next) {
        if (transfer->is_paused && (room || is_wanted(transfer))) {
            transfer->is_paused = false;
            http_request_resume(transfer->request);
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
            http_request_cancel(transfer->request);
            transfer = engine->transfers; /* it is gone, and others may be */
        } else {
            transfer = transfer->next;
        }
    }
}

void transfer_cancel_all(struct blob_fetch *engine)
{
    while (engine->transfers != NULL)
        http_request_cancel(engine->transfers->request);
}
