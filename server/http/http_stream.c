/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/memory.h"
#include "server/http/http_state.h"

/*
 * One answer that is pulled from a source. The loop sends from `piece`; when that is empty it
 * suspends the connection and a worker fills it again, so that the two never touch it at once and
 * no lock is needed. The library frees the stream after the connection was resumed for the last
 * time.
 */
struct http_stream {
    struct http_server *server;
    struct MHD_Connection *connection;
    struct http_source source;
    uint8_t *piece;
    size_t capacity, start, end;
    bool finished, failed;
};

static void stream_destroy(void *context)
{
    struct http_stream *stream = context;
    struct http_server *server = stream->server;

    if (stream->source.close != NULL)
        stream->source.close(stream->source.context);
    memory_free(stream->piece);
    memory_free(stream);
    http_server_stream_end(server);
}

/* Closing may block: a worker does it. */
static void stream_free(void *context)
{
    struct http_stream *stream = context;

    if (workers_try(stream->server->options.workers, stream_destroy, stream) < 0)
        stream_destroy(stream);
}

static void stream_fill(void *context)
{
    struct http_stream *stream = context;
    size_t size = 0;
    int r =
        stream->source.read(stream->source.context, stream->piece, stream->capacity, &size, NULL);

    stream->start = 0;
    stream->end = r < 0 ? 0 : size;
    stream->failed = r < 0;
    stream->finished = r == 0 && size == 0;
    http_server_resume(stream->server, stream->connection);
}

static ssize_t stream_send(void *context, uint64_t position, char *out, size_t size)
{
    struct http_stream *stream = context;

    if (stream->start < stream->end) {
        size_t part = stream->end - stream->start;

        if (part > size)
            part = size;
        memcpy(out, stream->piece + stream->start, part);
        stream->start += part;
        return (ssize_t)part;
    }
    if (stream->failed)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (stream->finished)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (!http_server_suspend(stream->server, stream->connection))
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (workers_try(stream->server->options.workers, stream_fill, stream) < 0) {
        stream->failed = true;
        http_server_resume(stream->server, stream->connection);
    }
    return 0;
}

static struct http_stream *stream_new(struct http_exchange *exchange, uint64_t size,
                                      const struct http_source *source)
{
    struct http_stream *stream = memory_new(sizeof(*stream));

    if (stream == NULL)
        return NULL;
    stream->server = exchange->server;
    stream->connection = exchange->connection;
    stream->capacity = size < HTTP_PIECE_SIZE ? (size_t)size : HTTP_PIECE_SIZE;
    stream->piece = memory_resize(NULL, stream->capacity, 1);
    if (stream->piece == NULL)
        return memory_free(stream);
    stream->source = *source;
    return stream;
}

int http_stream_response(struct http_exchange *exchange, uint64_t size,
                         const struct http_source *source, struct MHD_Response **out,
                         struct error *err)
{
    const size_t block = size < 64 * 1024 ? (size_t)size : 64 * 1024;
    struct http_stream *stream = stream_new(exchange, size, source);
    struct MHD_Response *response = NULL;

    if (stream != NULL) {
        http_server_stream_begin(exchange->server);
        response = MHD_create_response_from_callback(size, block, stream_send, stream, stream_free);
        if (response == NULL) {
            stream_destroy(stream);
            return error_set(err, -ENOMEM, "out of memory");
        }
        http_watch_add(exchange);
        *out = response;
        return 0;
    }
    source->close(source->context);
    return error_set(err, -ENOMEM, "out of memory");
}
