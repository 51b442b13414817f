/* SPDX-License-Identifier: MIT */
#include "server/service/versions.h"

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "common/model/record.h"
#include "server/api/handlers.h"
#include "server/api/json_answer.h"
#include "server/api/request.h"
#include "server/http/http_answer.h"
#include "server/service/listings.h"

int api_versions_list(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(version_page_release) struct version_page page = { 0 };
    cleanup(buf_release) struct buf body = buf_init(JSON_ANSWER_MAX);
    struct json_writer writer = json_writer_init(&body);
    struct page_request wanted;
    int r = request_page(exchange, &wanted, err);

    if (r == 0)
        r = versions_list(request_services(exchange), &request->caller.identity, request->project,
                          request->app, &wanted, &page, &request->why, err);
    if (r < 0)
        return r;
    json_begin_object(&writer, NULL);
    json_begin_array(&writer, "items");
    for (size_t i = 0; i < page.count; i++)
        json_write_version(&writer, NULL, &page.items[i]);
    json_end_page(&writer, page.next_cursor);
    return http_answer_json(exchange, 200, &body, err);
}

int api_versions_get(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(version_info_release) struct version_info info = { 0 };
    cleanup(buf_release) struct buf body = buf_init(JSON_ANSWER_MAX);
    struct json_writer writer = json_writer_init(&body);
    int r = versions_get(request_services(exchange), &request->caller.identity, request->project,
                         request->app, request->reference, &info, &request->why, err);

    if (r < 0)
        return r;
    json_write_version(&writer, NULL, &info);
    return http_answer_json(exchange, 200, &body, err);
}

static int meta_read(void *context, void *out, size_t size, size_t *out_size, struct error *err)
{
    return meta_stream_read(context, out, size, out_size, err);
}

static void meta_close(void *context)
{
    meta_stream_close(context);
}

int api_versions_meta(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    struct http_source source = { NULL, meta_read, meta_close };
    struct meta_stream *stream = NULL;
    int r =
        meta_stream_open(request_services(exchange), &request->caller.identity, request->project,
                         request->app, request->reference, &stream, &request->why, err);

    if (r < 0)
        return r;
    source.context = stream;
    return http_answer_source(exchange, RECORD_MEDIA_TYPE, &source, err);
}
