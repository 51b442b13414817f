/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/digest.h"
#include "common/model/delta.h"
#include "server/api/handlers.h"
#include "server/api/request.h"
#include "server/http/http_answer.h"
#include "server/http/http_server.h"
#include "server/service/delta_upload.h"

/* A blob of a push on its way in as a delta. */
struct taken_delta {
    struct delta_upload *upload;
    struct request *request;
};

/* 0, or 1 when it was refused with 415. */
static int check_type(struct http_exchange *exchange, struct error *err)
{
    const char *type = http_exchange_header(exchange, "Content-Type");
    int r;

    if (type != NULL && strcasecmp(type, DELTA_MEDIA_TYPE) == 0)
        return 0;
    r = http_answer_problem(exchange, "unsupported-media-type", "the body is " DELTA_MEDIA_TYPE,
                            NULL, NULL, err);
    return r < 0 ? r : 1;
}

static int begin(struct http_exchange *exchange, void *context, void **out_sink, struct error *err)
{
    struct request *request = request_of(exchange);
    struct delta_upload *upload = NULL;
    struct taken_delta *taken;
    uint64_t body_size = 0;
    struct digest sha256;
    int r = check_type(exchange, err);

    if (r != 0)
        return r < 0 ? r : 0;
    http_exchange_body_size(exchange, &body_size);
    r = request_digest(exchange, &sha256, err);
    if (r == 0)
        r = delta_upload_begin(request_services(exchange), &request->caller, request->project,
                               request->app, request->push, &sha256, body_size, &upload,
                               &request->why, err);
    if (r < 0)
        return r;
    taken = memory_new(sizeof(*taken));
    if (taken == NULL) {
        delta_upload_free(upload);
        return error_set(err, -ENOMEM, "out of memory");
    }
    *taken = (struct taken_delta){ upload, request };
    *out_sink = taken;
    return 0;
}

static int add(void *sink, struct span bytes, struct error *err)
{
    struct taken_delta *taken = sink;

    return delta_upload_add(taken->upload, bytes, &taken->request->why, err);
}

static void forget(void *sink)
{
    struct taken_delta *taken = sink;

    delta_upload_free(taken->upload);
    memory_free(taken);
}

static int end(void *sink, struct http_exchange *exchange, struct error *err)
{
    struct taken_delta *taken = sink;
    uint64_t offset = 0;
    char text[24];
    int r = delta_upload_end(taken->upload, &offset, &taken->request->why, err);

    forget(taken);
    snprintf(text, sizeof(text), "%" PRIu64, offset);
    if (r == 0)
        r = http_answer_header(exchange, "Upload-Offset", text, err);
    return r < 0 ? r : http_answer_empty(exchange, 204, err);
}

const struct http_sink api_push_blobs_delta = { begin, add, end, forget };
