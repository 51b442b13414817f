/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/json.h"
#include "server/api/handlers.h"
#include "server/api/json_answer.h"
#include "server/api/request.h"
#include "server/http/http_answer.h"
#include "server/http/http_server.h"
#include "server/service/pack_upload.h"

/* A pack of a push's small blobs on its way in. */
struct taken_pack {
    struct pack_upload *upload;
    struct request *request;
};

static int begin(struct http_exchange *exchange, void *context, void **out_sink, struct error *err)
{
    struct request *request = request_of(exchange);
    struct taken_pack *taken = memory_new(sizeof(*taken));
    uint64_t body_size = 0;
    int r;

    if (taken == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    http_exchange_body_size(exchange, &body_size);
    r = pack_upload_begin(request_services(exchange), &request->caller, request->project,
                          request->app, request->push, body_size, &taken->upload, &request->why,
                          err);
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
    struct taken_pack *taken = sink;

    return pack_upload_add(taken->upload, bytes, &taken->request->why, err);
}

static void forget(void *sink)
{
    struct taken_pack *taken = sink;

    pack_upload_free(taken->upload);
    memory_free(taken);
}

/* The client went away, or the body was refused. */
static void abort_pack(void *sink)
{
    struct taken_pack *taken = sink;

    pack_upload_break_off(taken->upload);
    forget(sink);
}

static void write_result(struct json_writer *writer, const struct pack_upload_result *result)
{
    json_begin_object(writer, NULL);
    json_integer(writer, "stored", (int64_t)result->stored);
    json_integer(writer, "present", (int64_t)result->present);
    json_integer(writer, "failed", (int64_t)result->failed);
    json_begin_array(writer, "failures");
    for (size_t i = 0; i < result->failed && i < PACK_UPLOAD_FAILURES_MAX; i++) {
        json_begin_object(writer, NULL);
        json_write_digest(writer, "sha256", &result->failures[i].sha256);
        json_text(writer, "code", refusal_name(result->failures[i].code));
        json_end(writer);
    }
    json_end(writer);
    json_end(writer);
}

static int end(void *sink, struct http_exchange *exchange, struct error *err)
{
    cleanup(buf_release) struct buf body = buf_init(JSON_ANSWER_MAX);
    struct json_writer writer = json_writer_init(&body);
    const struct pack_upload_result *result;
    struct taken_pack *taken = sink;
    int r = pack_upload_end(taken->upload, &result, &taken->request->why, err);

    if (r == 0) {
        write_result(&writer, result);
        r = buf_check(&body, err);
    }
    forget(taken);
    return r < 0 ? r : http_answer_json(exchange, 200, &body, err);
}

const struct http_sink api_push_packs = { begin, add, end, abort_pack };
