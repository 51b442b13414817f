/* SPDX-License-Identifier: MIT */
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "server/api/handlers.h"
#include "server/api/json_answer.h"
#include "server/api/request.h"
#include "server/db/retention.h"
#include "server/http/http_answer.h"
#include "server/service/projects.h"

CLEANUP_DEFINE(json, json_free);

static int answer_app(struct http_exchange *exchange, unsigned status, const struct app_info *info,
                      struct error *err)
{
    cleanup(buf_release) struct buf body = buf_init(JSON_ANSWER_MAX);
    struct json_writer writer = json_writer_init(&body);

    json_write_app(&writer, NULL, info);
    return http_answer_json(exchange, status, &body, err);
}

int api_apps_list(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(app_page_release) struct app_page page = { 0 };
    cleanup(buf_release) struct buf body = buf_init(JSON_ANSWER_MAX);
    struct json_writer writer = json_writer_init(&body);
    struct page_request wanted;
    int r = request_page(exchange, &wanted, err);

    if (r == 0)
        r = apps_list(request_services(exchange), &request->caller.identity, request->project,
                      &wanted, &page, &request->why, err);
    if (r < 0)
        return r;
    json_begin_object(&writer, NULL);
    json_begin_array(&writer, "items");
    for (size_t i = 0; i < page.count; i++)
        json_write_app(&writer, NULL, &page.items[i]);
    json_end_page(&writer, page.next_cursor);
    return http_answer_json(exchange, 200, &body, err);
}

int api_apps_get(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(app_info_release) struct app_info info = { 0 };
    int r = apps_get(request_services(exchange), &request->caller.identity, request->project,
                     request->app, &info, &request->why, err);

    return r < 0 ? r : answer_app(exchange, 200, &info, err);
}

int api_apps_put(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(cleanup_json) struct json *json = NULL;
    struct app_info info;
    int64_t retain;
    bool said;
    int r = request_json(exchange, &json, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = request_member_integer_or_null(exchange, json_root(json), "retain_versions",
                                       RETENTION_INHERIT, &retain, &said, err);
    if (r == 0)
        r = apps_put(request_services(exchange), &request->caller, request->project, request->app,
                     said ? &retain : NULL, &info, &request->why, err);

    return r < 0 ? r : answer_app(exchange, r == 1 ? 201 : 200, &info, err);
}
