/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <strings.h>

#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/delta.h"
#include "server/api/handlers.h"
#include "server/api/request.h"
#include "server/http/http_answer.h"
#include "server/http/http_server.h"
#include "server/service/push_document.h"

/* A listing or times on its way in. */
struct taken_document {
    struct push_document *document;
    struct request *request;
};

/* 0, or 1 when it was refused with 415. */
static int read_coding(struct http_exchange *exchange, enum push_document_coding *out,
                       struct error *err)
{
    enum request_coding coding = request_coding_of(exchange);
    const char *type = http_exchange_header(exchange, "Content-Type");
    int r;

    if (type == NULL || strcasecmp(type, "application/octet-stream") == 0) {
        if (coding != REQUEST_CODING_OTHER) {
            *out = coding == REQUEST_CODING_NONE ? PUSH_DOCUMENT_PLAIN : PUSH_DOCUMENT_ZSTD;
            return 0;
        }
    } else if (strcasecmp(type, DELTA_MEDIA_TYPE) == 0 && coding == REQUEST_CODING_NONE) {
        *out = PUSH_DOCUMENT_DELTA;
        return 0;
    }
    r = http_answer_problem(exchange, "unsupported-media-type",
                            "the body is application/octet-stream, as it is or as zstd, "
                            "or " DELTA_MEDIA_TYPE,
                            NULL, NULL, err);
    return r < 0 ? r : 1;
}

static int begin(struct http_exchange *exchange, enum push_document_kind kind, void **out_sink,
                 struct error *err)
{
    struct request *request = request_of(exchange);
    struct push_document *document = NULL;
    enum push_document_coding coding;
    struct taken_document *taken;
    uint64_t body_size = 0;
    int r = read_coding(exchange, &coding, err);

    if (r != 0)
        return r < 0 ? r : 0;
    http_exchange_body_size(exchange, &body_size);
    r = push_document_begin(request_services(exchange), &request->caller, request->project,
                            request->app, request->push, kind, coding, body_size, &document,
                            &request->why, err);
    if (r < 0)
        return r;
    taken = memory_new(sizeof(*taken));
    if (taken == NULL) {
        push_document_free(document);
        return error_set(err, -ENOMEM, "out of memory");
    }
    *taken = (struct taken_document){ document, request };
    *out_sink = taken;
    return 0;
}

static int begin_listing(struct http_exchange *exchange, void *context, void **out_sink,
                         struct error *err)
{
    return begin(exchange, PUSH_DOCUMENT_LISTING, out_sink, err);
}

static int begin_times(struct http_exchange *exchange, void *context, void **out_sink,
                       struct error *err)
{
    return begin(exchange, PUSH_DOCUMENT_TIMES, out_sink, err);
}

static int add(void *sink, struct span bytes, struct error *err)
{
    struct taken_document *taken = sink;

    return push_document_add(taken->document, bytes, &taken->request->why, err);
}

static void forget(void *sink)
{
    struct taken_document *taken = sink;

    push_document_free(taken->document);
    memory_free(taken);
}

static int end(void *sink, struct http_exchange *exchange, struct error *err)
{
    struct taken_document *taken = sink;
    int r = push_document_end(taken->document, &taken->request->why, err);

    forget(taken);
    return r < 0 ? r : http_answer_empty(exchange, 204, err);
}

const struct http_sink api_push_listing = { begin_listing, add, end, forget };
const struct http_sink api_push_times = { begin_times, add, end, forget };
