/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "server/http/etag.h"
#include "server/http/http_state.h"
#include "server/http/page_cache.h"
#include "server/http/range.h"

static int content_headers(struct http_exchange *exchange, const struct http_content *content,
                           struct error *err)
{
    const char *cache =
        content->cache_control != NULL ? content->cache_control : "private, no-cache";
    int r = 0;

    if (content->etag != NULL)
        r = http_answer_header(exchange, "ETag", content->etag, err);
    if (r == 0)
        r = http_answer_header(exchange, "Cache-Control", cache, err);
    if (r == 0)
        r = http_answer_header(exchange, "Vary", "Authorization", err);
    if (r == 0)
        r = http_answer_header(exchange, "Accept-Ranges", content->etag != NULL ? "bytes" : "none",
                               err);
    return r;
}

static int range_header(struct http_exchange *exchange, const struct range *range, uint64_t total,
                        struct error *err)
{
    char text[80];

    if (range->kind == RANGE_WHOLE)
        return 0;
    if (range->kind == RANGE_UNSATISFIABLE)
        snprintf(text, sizeof(text), "bytes */%" PRIu64, total);
    else
        snprintf(text, sizeof(text), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, range->offset,
                 range->offset + range->size - 1, total);
    return http_answer_header(exchange, "Content-Range", text, err);
}

static ssize_t never_read(void *context, uint64_t position, char *out, size_t size)
{
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

/* The headers of a body that does not follow: its length must be said all the same. */
static int answer_head(struct http_exchange *exchange, unsigned status, uint64_t size,
                       struct error *err)
{
    struct MHD_Response *response;

    if (size == 0)
        return http_answer_empty(exchange, status, err);
    response = MHD_create_response_from_callback(size, 1, never_read, NULL, NULL);
    return http_answer_response(exchange, status, response, err);
}

static struct range wanted_range(struct http_exchange *exchange, const struct http_content *content)
{
    const char *header = http_exchange_header(exchange, "Range");

    /* RFC 9110, 14.2: Range is defined for GET alone. */
    if (exchange->method != HTTP_GET || content->etag == NULL ||
        !range_condition(http_exchange_header(exchange, "If-Range"), content->etag))
        header = NULL;
    return range_parse(header, content->size);
}

int http_content_begin(struct http_exchange *exchange, const struct http_content *content,
                       bool *out_needed, uint64_t *out_offset, uint64_t *out_size,
                       struct error *err)
{
    struct http_content_plan *plan = &exchange->content;
    struct range range;
    int r = content_headers(exchange, content, err);

    if (r < 0)
        return r;
    if (content->etag != NULL &&
        etag_none_match(http_exchange_header(exchange, "If-None-Match"), content->etag)) {
        *out_needed = false;
        return http_answer_empty(exchange, 304, err);
    }
    range = wanted_range(exchange, content);
    r = range_header(exchange, &range, content->size, err);
    if (r < 0)
        return r;
    if (range.kind == RANGE_UNSATISFIABLE) {
        *out_needed = false;
        return http_answer_problem(exchange, "range", "the range begins behind the end", NULL, NULL,
                                   err);
    }
    plan->status = range.kind == RANGE_PART ? 206 : 200;
    r = http_answer_header(exchange, "Content-Type", content->media_type, err);
    if (r < 0)
        return r;
    if (exchange->method == HTTP_HEAD) {
        *out_needed = false;
        return answer_head(exchange, plan->status, content->size, err);
    }
    plan->begun = true;
    plan->size = range.size;
    *out_needed = true;
    *out_offset = range.offset;
    *out_size = range.size;
    return 0;
}

static int content_answer(struct http_exchange *exchange, struct MHD_Response *response,
                          struct error *err)
{
    int r = http_answer_response(exchange, exchange->content.status, response, err);

    if (r < 0)
        return r;
    exchange->sent_size = exchange->content.size;
    if (exchange->content.size > HTTP_WATCH_SIZE)
        http_watch_add(exchange);
    return 0;
}

/* A part of a file that is read on workers. */
struct file_source {
    int fd;
    uint64_t offset, left;
};

static int file_source_read(void *context, void *out, size_t size, size_t *out_size,
                            struct error *err)
{
    struct file_source *file = context;
    size_t part = file->left < size ? (size_t)file->left : size;
    int r = file_read_at(file->fd, file->offset, out, part, out_size, err);

    if (r < 0)
        return r;
    if (*out_size < part)
        return error_set(err, -EIO, "the file became shorter");
    file->offset += part;
    file->left -= part;
    return 0;
}

static void file_source_close(void *context)
{
    struct file_source *file = context;

    close(file->fd);
    memory_free(file);
}

static int answer_cold_file(struct http_exchange *exchange, int *fd, uint64_t offset,
                            struct error *err)
{
    struct file_source *file = memory_new(sizeof(*file));
    struct http_source source = { file, file_source_read, file_source_close };

    if (file == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    file->fd = take_fd(fd);
    file->offset = offset;
    file->left = exchange->content.size;
    return http_content_source(exchange, &source, err);
}

int http_content_file(struct http_exchange *exchange, int *fd, uint64_t offset, struct error *err)
{
    cleanup_fd int own = take_fd(fd);
    const uint64_t size = exchange->content.size;
    struct MHD_Response *response;

    assert(exchange->content.begun);
    if (size == 0)
        return http_answer_empty(exchange, exchange->content.status, err);
    if (!page_cache_has(own, offset, size) &&
        !(exchange->may_block && page_cache_fill(own, offset, size)))
        return answer_cold_file(exchange, &own, offset, err);
    response = MHD_create_response_from_fd_at_offset64(size, own, offset);
    if (response == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    take_fd(&own);
    return content_answer(exchange, response, err);
}

static void free_bytes(void *bytes)
{
    memory_free(bytes);
}

int http_content_bytes(struct http_exchange *exchange, struct buf *body, struct error *err)
{
    void *bytes;

    assert(exchange->content.begun && body->size == exchange->content.size);
    bytes = buf_take(body);
    if (bytes == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    return http_content_memory(exchange, span_of(bytes, exchange->content.size), bytes, free_bytes,
                               err);
}

/* Memory of somebody else: the library's free callback knows only one pointer. */
struct memory_owner {
    const uint8_t *bytes;
    void *owner;
    void (*release)(void *owner);
};

static ssize_t memory_send(void *context, uint64_t position, char *out, size_t size)
{
    struct memory_owner *memory = context;

    memcpy(out, memory->bytes + position, size);
    return (ssize_t)size;
}

static void memory_release(void *context)
{
    struct memory_owner *memory = context;

    memory->release(memory->owner);
    memory_free(memory);
}

int http_content_memory(struct http_exchange *exchange, struct span bytes, void *owner,
                        void (*release)(void *owner), struct error *err)
{
    struct memory_owner *memory = memory_new(sizeof(*memory));
    struct MHD_Response *response;

    assert(exchange->content.begun && bytes.size == exchange->content.size);
    if (memory == NULL || bytes.size == 0) {
        memory_free(memory);
        release(owner);
        if (bytes.size == 0)
            return http_answer_empty(exchange, exchange->content.status, err);
        return error_set(err, -ENOMEM, "out of memory");
    }
    *memory = (struct memory_owner){ bytes.bytes, owner, release };
    response = MHD_create_response_from_callback(bytes.size, 64 * 1024, memory_send, memory,
                                                 memory_release);
    if (response == NULL) {
        memory_release(memory);
        return error_set(err, -ENOMEM, "out of memory");
    }
    return content_answer(exchange, response, err);
}

int http_content_source(struct http_exchange *exchange, const struct http_source *source,
                        struct error *err)
{
    struct MHD_Response *response;
    int r;

    assert(exchange->content.begun);
    if (exchange->content.size == 0) {
        source->close(source->context);
        return http_answer_empty(exchange, exchange->content.status, err);
    }
    r = http_stream_response(exchange, exchange->content.size, source, &response, err);
    if (r < 0)
        return r;
    return content_answer(exchange, response, err);
}

int http_answer_source(struct http_exchange *exchange, const char *media_type,
                       const struct http_source *source, struct error *err)
{
    struct MHD_Response *response;
    int r = http_answer_header(exchange, "Content-Type", media_type, err);

    if (r < 0) {
        source->close(source->context);
        return r;
    }
    if (exchange->method == HTTP_HEAD) {
        source->close(source->context);
        return http_answer_empty(exchange, 200, err);
    }
    r = http_stream_response(exchange, MHD_SIZE_UNKNOWN, source, &response, err);
    if (r == 0)
        r = http_answer_response(exchange, 200, response, err);
    if (r == 0)
        http_watch_add(exchange);
    return r;
}
