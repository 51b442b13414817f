/* SPDX-License-Identifier: MIT */
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/json.h"
#include "server/api/handlers.h"
#include "server/api/json_answer.h"
#include "server/api/request.h"
#include "server/http/http_answer.h"
#include "server/service/versions.h"

CLEANUP_DEFINE(json, json_free);

static int read_request(struct http_exchange *exchange, const struct json_value *object,
                        struct version_copy_request *out, struct error *err)
{
    int r = request_member_text(exchange, object, "project", &out->project, err);

    if (r == 0)
        r = request_member_text(exchange, object, "app", &out->app, err);
    return r < 0 ? r : request_member_text(exchange, object, "version", &out->version, err);
}

int api_versions_copy(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(cleanup_json) struct json *json = NULL;
    cleanup(version_info_release) struct version_info info = { 0 };
    cleanup(buf_release) struct buf body = buf_init(JSON_ANSWER_MAX);
    struct json_writer writer = json_writer_init(&body);
    struct version_copy_request wanted = { 0 };
    bool created;
    int r = request_json(exchange, &json, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = read_request(exchange, json_root(json), &wanted, err);
    if (r == 0)
        r = versions_copy(request_services(exchange), &request->caller, request->project,
                          request->app, request->reference, &wanted, &created, &info, &request->why,
                          err);
    if (r < 0)
        return r;
    json_write_version(&writer, NULL, &info);
    return http_answer_json(exchange, created ? 201 : 200, &body, err);
}
