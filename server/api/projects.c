/* SPDX-License-Identifier: MIT */
#include "server/service/projects.h"

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "server/api/handlers.h"
#include "server/api/json_answer.h"
#include "server/api/request.h"
#include "server/db/retention.h"
#include "server/http/http_answer.h"

CLEANUP_DEFINE(json, json_free);

static int answer_project(struct http_exchange *exchange, unsigned status,
                          const struct project_info *info, struct error *err)
{
    cleanup(buf_release) struct buf body = buf_init(JSON_ANSWER_MAX);
    struct json_writer writer = json_writer_init(&body);

    json_write_project(&writer, NULL, info);
    return http_answer_json(exchange, status, &body, err);
}

int api_projects_list(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(project_page_release) struct project_page page = { 0 };
    cleanup(buf_release) struct buf body = buf_init(JSON_ANSWER_MAX);
    struct json_writer writer = json_writer_init(&body);
    struct page_request wanted;
    int r = request_page(exchange, &wanted, err);

    if (r == 0)
        r = projects_list(request_services(exchange), &request->caller.identity, &wanted, &page,
                          &request->why, err);
    if (r < 0)
        return r;
    json_begin_object(&writer, NULL);
    json_begin_array(&writer, "items");
    for (size_t i = 0; i < page.count; i++)
        json_write_project(&writer, NULL, &page.items[i]);
    json_end_page(&writer, page.next_cursor);
    return http_answer_json(exchange, 200, &body, err);
}

int api_projects_get(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    struct project_info info;
    int r = projects_get(request_services(exchange), &request->caller.identity, request->project,
                         &info, &request->why, err);

    return r < 0 ? r : answer_project(exchange, 200, &info, err);
}

int api_projects_put(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(cleanup_json) struct json *json = NULL;
    struct project_info info;
    int64_t retain;
    bool said;
    int r = request_json(exchange, &json, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = request_member_integer_or_null(exchange, json_root(json), "retain_versions",
                                       RETENTION_INHERIT, &retain, &said, err);
    if (r == 0)
        r = projects_put(request_services(exchange), &request->caller, request->project,
                         said ? &retain : NULL, &info, &request->why, err);

    return r < 0 ? r : answer_project(exchange, r == 1 ? 201 : 200, &info, err);
}
