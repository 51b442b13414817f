/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>

#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/digest.h"
#include "server/api/handlers.h"
#include "server/api/request.h"
#include "server/http/http_answer.h"
#include "server/http/http_server.h"
#include "server/service/blob_upload.h"

/* A part of a blob on its way in. */
struct taken_part {
    struct blob_upload *upload;
    struct request *request;
};

static int offset_header(struct http_exchange *exchange, const char *name, uint64_t value,
                         struct error *err)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, value);
    return http_answer_header(exchange, name, text, err);
}

int api_push_blobs_head(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    uint64_t offset = 0, length = 0;
    struct digest sha256;
    int r = request_digest(exchange, &sha256, err);

    if (r == 0)
        r = blob_upload_offset(request_services(exchange), &request->caller, request->project,
                               request->app, request->push, &sha256, &offset, &length,
                               &request->why, err);
    if (r == 0)
        r = offset_header(exchange, "Upload-Offset", offset, err);
    if (r == 0)
        r = offset_header(exchange, "Upload-Length", length, err);
    if (r == 0)
        r = http_answer_header(exchange, "Cache-Control", "no-store", err);
    return r < 0 ? r : http_answer_empty(exchange, 200, err);
}

static int begin(struct http_exchange *exchange, void *context, void **out_sink, struct error *err)
{
    struct request *request = request_of(exchange);
    struct taken_part *taken = memory_new(sizeof(*taken));
    uint64_t offset = 0, length = 0, part_size = 0;
    struct digest sha256;
    int r = request_digest(exchange, &sha256, err);

    if (taken == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    if (r == 0)
        r = request_header_number(exchange, "Upload-Offset", &offset, err);
    if (r == 0)
        r = request_header_number(exchange, "Upload-Length", &length, err);
    http_exchange_body_size(exchange, &part_size);
    if (r == 0)
        r = blob_upload_begin(request_services(exchange), &request->caller, request->project,
                              request->app, request->push, &sha256, offset, length, part_size,
                              &taken->upload, &request->why, err);
    if (r < 0) {
        memory_free(taken);
        return r;
    }
    taken->request = request;
    *out_sink = taken;
    return 0;
}

static int add(void *sink, struct span bytes, struct error *err)
{
    struct taken_part *taken = sink;

    return blob_upload_add(taken->upload, bytes, &taken->request->why, err);
}

static void forget(void *sink)
{
    struct taken_part *taken = sink;

    blob_upload_free(taken->upload);
    memory_free(taken);
}

static int end(void *sink, struct http_exchange *exchange, struct error *err)
{
    struct taken_part *taken = sink;
    uint64_t offset = 0;
    int r = blob_upload_end(taken->upload, &offset, &taken->request->why, err);

    forget(taken);
    if (r == 0)
        r = offset_header(exchange, "Upload-Offset", offset, err);
    return r < 0 ? r : http_answer_empty(exchange, 204, err);
}

const struct http_sink api_push_blobs_append = { begin, add, end, forget };
