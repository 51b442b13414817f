/* SPDX-License-Identifier: MIT */
#include "server/service/pushes.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/json.h"
#include "common/model/record.h"
#include "server/api/handlers.h"
#include "server/api/json_answer.h"
#include "server/api/request.h"
#include "server/http/http_answer.h"

#define BITMAP_MAX ((size_t)4 << 20) /* a bit for each of 2^24 entries, and room */

CLEANUP_DEFINE(json, json_free);

static void write_push(struct json_writer *writer, const struct push_info *push)
{
    json_begin_object(writer, NULL);
    json_text(writer, "state", "open");
    json_text(writer, "id", push->id);
    if (push->version[0] != '\0')
        json_text(writer, "version", push->version);
    if (push->has_content)
        json_write_digest(writer, "content", &push->content);
    if (push->has_times)
        json_write_digest(writer, "times", &push->times);
    json_integer(writer, "part_size", push->part_size);
    json_time(writer, "expires_at", push->expires_at_s);
    json_begin_array(writer, "wanted");
    if (push->wants_listing)
        json_text(writer, NULL, "listing");
    if (push->wants_times)
        json_text(writer, NULL, "times");
    json_end(writer);
    json_integer(writer, "received_blobs", (int64_t)push->received_blobs);
    json_end(writer);
}

static int answer_push(struct http_exchange *exchange, unsigned status,
                       const struct push_info *push, struct error *err)
{
    cleanup(buf_release) struct buf body = buf_init(JSON_ANSWER_MAX);
    struct json_writer writer = json_writer_init(&body);

    write_push(&writer, push);
    return http_answer_json(exchange, status, &body, err);
}

static int answer_version(struct http_exchange *exchange, unsigned status, const char *state,
                          const struct version_info *version, struct error *err)
{
    cleanup(buf_release) struct buf body = buf_init(JSON_ANSWER_MAX);
    struct json_writer writer = json_writer_init(&body);

    json_begin_object(&writer, NULL);
    json_text(&writer, "state", state);
    json_write_version(&writer, "version", version);
    json_end(&writer);
    return http_answer_json(exchange, status, &body, err);
}

struct create_body {
    struct digest content, times;
    struct record metadata;
};

static void create_body_release(struct create_body *body)
{
    record_release(&body->metadata);
}

/* "/metadata/x: rule" in the text becomes the pointer. */
static int metadata_refused(struct request *request, int result, const struct error *err)
{
    char pointer[64] = "/metadata";
    size_t size = strcspn(err->text, ":");

    if (strncmp(err->text, "/metadata/", 10) == 0 && size < sizeof(pointer)) {
        memcpy(pointer, err->text, size);
        pointer[size] = '\0';
    }
    return refusal_at(&request->why, pointer, result);
}

static int read_create(struct http_exchange *exchange, const struct json_value *object,
                       struct create_body *body, struct pushes_request *out, struct error *err)
{
    struct request *request = request_of(exchange);
    const struct json_value *metadata = json_member(object, "metadata");
    struct error fault = { 0 };
    int r = request_member_text(exchange, object, "version", &out->version, err);

    if (r == 0)
        r = request_member_digest(exchange, object, "content", &body->content, &out->content, err);
    if (r == 0)
        r = request_member_digest(exchange, object, "times", &body->times, &out->times, err);
    if (r == 0)
        r = request_member_text(exchange, object, "base", &out->base, err);
    if (r < 0 || json_is_null(metadata))
        return r;
    r = record_read_metadata(metadata, &body->metadata, &fault);
    if (r < 0) {
        error_set(err, r, "%s", fault.text);
        return r == -EINVAL ? metadata_refused(request, r, &fault) : r;
    }
    out->metadata = &body->metadata;
    return 0;
}

int api_pushes_create(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(cleanup_json) struct json *json = NULL;
    cleanup(create_body_release) struct create_body body = { 0 };
    cleanup(version_info_release) struct version_info version = { 0 };
    struct pushes_request wanted = { .project = request->project, .app = request->app };
    enum pushes_outcome outcome = PUSHES_OPEN;
    struct push_info push = { 0 };
    int r = request_json(exchange, &json, err);

    if (r != 0)
        return r < 0 ? r : 0;
    record_init(&body.metadata);
    r = read_create(exchange, json_root(json), &body, &wanted, err);
    if (r == 0)
        r = pushes_create(request_services(exchange), &request->caller, &wanted, &outcome, &push,
                          &version, &request->why, err);
    if (r < 0)
        return r;
    if (outcome == PUSHES_OPEN)
        return answer_push(exchange, 201, &push, err);
    return answer_version(exchange, 200, "exists", &version, err);
}

int api_pushes_get(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    struct push_info push;
    int r = pushes_get(request_services(exchange), &request->caller, request->project, request->app,
                       request->push, &push, &request->why, err);

    return r < 0 ? r : answer_push(exchange, 200, &push, err);
}

int api_pushes_abandon(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    int r = pushes_abandon(request_services(exchange), &request->caller, request->project,
                           request->app, request->push, &request->why, err);

    return r < 0 ? r : http_answer_empty(exchange, 204, err);
}

int api_pushes_missing(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(buf_release) struct buf bitmap = buf_init(BITMAP_MAX);
    int r = pushes_missing(request_services(exchange), &request->caller, request->project,
                           request->app, request->push, &bitmap, &request->why, err);

    if (r == 0)
        r = http_answer_header(exchange, "Cache-Control", "no-store", err);
    if (r < 0)
        return r;
    return http_answer_text(exchange, 200, "application/octet-stream", &bitmap, true, err);
}

int api_pushes_commit(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(cleanup_json) struct json *json = NULL;
    cleanup(version_info_release) struct version_info version = { 0 };
    enum pushes_outcome outcome = PUSHES_CREATED;
    const struct digest *content = NULL;
    struct digest digest;
    int r = request_json(exchange, &json, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = request_member_digest(exchange, json_root(json), "content", &digest, &content, err);
    if (r == 0)
        r = pushes_commit(request_services(exchange), &request->caller, request->project,
                          request->app, request->push, content, &outcome, &version, &request->why,
                          err);
    if (r < 0)
        return r;
    if (outcome == PUSHES_CREATED)
        return answer_version(exchange, 201, "created", &version, err);
    return answer_version(exchange, 200, "exists", &version, err);
}
