/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>

#include "common/base/memory.h"
#include "server/http/http_state.h"

int http_upload_init(struct http_upload *upload)
{
    upload->filling = buf_init(HTTP_PIECE_SIZE);
    upload->taken = buf_init(HTTP_PIECE_SIZE);
    return -pthread_mutex_init(&upload->lock, NULL);
}

void http_upload_release(struct http_upload *upload)
{
    buf_release(&upload->filling);
    buf_release(&upload->taken);
    pthread_mutex_destroy(&upload->lock);
}

static void pieces_swap(struct http_upload *upload)
{
    struct buf full = upload->filling;

    upload->filling = upload->taken;
    upload->taken = full;
}

static void piece_work(void *context);

/* The pool's queue has room for every connection, and an upload is queued at most once. */
static void piece_submit(struct http_exchange *exchange)
{
    int r = workers_try(exchange->server->options.workers, piece_work, exchange);

    assert(r == 0);
}

void http_upload_finish(struct http_exchange *exchange)
{
    struct http_upload *upload = &exchange->upload;
    const struct http_sink *sink = exchange->operation->sink;
    struct error err = { 0 };

    exchange->may_block = true;
    upload->ended = true;
    if (upload->failed) {
        sink->abort(upload->sink);
        http_answer_failure(exchange, &upload->failure);
        return;
    }
    if (sink->end(upload->sink, exchange, &err) < 0)
        http_answer_failure(exchange, &err);
}

/* The client is gone. What came before that is given over all the same. */
static void upload_abort(void *context)
{
    struct http_exchange *exchange = context;
    struct http_upload *upload = &exchange->upload;
    const struct http_sink *sink = exchange->operation->sink;
    struct error err = { 0 };

    exchange->may_block = true;
    if (!upload->failed && upload->filling.size > 0)
        sink->data(upload->sink, buf_span(&upload->filling), &err);
    sink->abort(upload->sink);
    http_exchange_free(exchange);
}

/* What comes after a piece; called with the lock held, gives it back. */
static void piece_next(struct http_exchange *exchange)
{
    struct http_upload *upload = &exchange->upload;
    struct http_server *server = exchange->server;
    struct MHD_Connection *connection = exchange->connection;
    bool again, finish, waiting;

    if (upload->gone) {
        pthread_mutex_unlock(&upload->lock);
        upload_abort(exchange);
        return;
    }
    again = !upload->failed && (upload->filling.size == HTTP_PIECE_SIZE ||
                                (upload->complete && upload->filling.size > 0));
    if (again)
        pieces_swap(upload);
    finish = !again && upload->complete;
    upload->working = again;
    waiting = upload->waiting && !upload->complete;
    if (waiting)
        upload->waiting = false;
    pthread_mutex_unlock(&upload->lock);

    if (again) {
        piece_submit(exchange);
    } else if (finish) {
        http_upload_finish(exchange);
        waiting = true;
    }
    if (waiting)
        http_server_resume(server, connection);
}

static void piece_work(void *context)
{
    struct http_exchange *exchange = context;
    struct http_upload *upload = &exchange->upload;
    struct error err = { 0 };
    int r = 0;

    if (upload->taken.size > 0)
        r = exchange->operation->sink->data(upload->sink, buf_span(&upload->taken), &err);
    pthread_mutex_lock(&upload->lock);
    buf_clear(&upload->taken);
    if (r < 0 && !upload->failed) {
        upload->failed = true;
        upload->failure = err;
    }
    piece_next(exchange);
}

/* One allocation a piece, no larger than what is still to come. */
static void piece_prepare(struct http_exchange *exchange, struct buf *piece)
{
    uint64_t left = HTTP_PIECE_SIZE;

    if (piece->capacity > 0)
        return;
    if (exchange->has_length && exchange->body_size < left)
        left = exchange->body_size;
    buf_reserve(piece, (size_t)left);
}

static void piece_add(struct http_exchange *exchange, const uint8_t **at, size_t *left)
{
    struct buf *piece = &exchange->upload.filling;
    size_t part = HTTP_PIECE_SIZE - piece->size;

    if (part > *left)
        part = *left;
    piece_prepare(exchange, piece);
    buf_add(piece, *at, part);
    if (buf_check(piece, NULL) < 0) {
        exchange->upload.failed = true;
        buf_check(piece, &exchange->upload.failure);
        return;
    }
    *at += part;
    *left -= part;
}

bool http_upload_take(struct http_exchange *exchange, const void *bytes, size_t *size)
{
    struct http_upload *upload = &exchange->upload;
    const uint8_t *at = bytes;
    bool start = false, open = true;

    pthread_mutex_lock(&upload->lock);
    while (*size > 0 && !upload->failed) {
        piece_add(exchange, &at, size);
        if (upload->filling.size < HTTP_PIECE_SIZE)
            continue;
        if (upload->working)
            break;
        pieces_swap(upload);
        upload->working = true;
        start = true;
    }
    if (upload->failed)
        *size = 0;
    if (*size > 0) {
        open = http_server_suspend(exchange->server, exchange->connection);
        upload->waiting = open;
    }
    pthread_mutex_unlock(&upload->lock);
    if (start)
        piece_submit(exchange);
    return open;
}

bool http_upload_complete(struct http_exchange *exchange)
{
    struct http_upload *upload = &exchange->upload;
    bool start;

    pthread_mutex_lock(&upload->lock);
    if (!http_server_suspend(exchange->server, exchange->connection)) {
        pthread_mutex_unlock(&upload->lock);
        return false;
    }
    upload->complete = true;
    upload->waiting = true;
    if (upload->failed)
        buf_clear(&upload->filling);
    start = !upload->working;
    if (start) {
        pieces_swap(upload);
        upload->working = true;
    }
    pthread_mutex_unlock(&upload->lock);
    if (start)
        piece_submit(exchange);
    return true;
}

void http_upload_refuse(struct http_exchange *exchange, const struct error *failure)
{
    struct http_upload *upload = &exchange->upload;

    pthread_mutex_lock(&upload->lock);
    if (!upload->failed) {
        upload->failed = true;
        upload->failure = *failure;
    }
    pthread_mutex_unlock(&upload->lock);
}

bool http_upload_over(struct http_exchange *exchange)
{
    struct http_upload *upload = &exchange->upload;
    bool working;

    if (upload->sink == NULL || upload->ended)
        return false;
    pthread_mutex_lock(&upload->lock);
    upload->gone = true;
    working = upload->working;
    pthread_mutex_unlock(&upload->lock);
    if (!working && workers_try(exchange->server->options.workers, upload_abort, exchange) < 0)
        upload_abort(exchange);
    return true;
}
