/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "common/model/entry.h"
#include "common/model/meta_yaml.h"
#include "server/api/content_answer.h"
#include "server/api/handlers.h"
#include "server/api/json_answer.h"
#include "server/api/request.h"
#include "server/http/http_answer.h"
#include "server/http/url.h"
#include "server/service/content.h"
#include "server/service/listings.h"

static void write_entry(struct json_writer *writer, const struct listed_file *file)
{
    const struct entry entry = {
        .kind = (enum entry_kind)file->kind,
        .mode = file->mode,
        .size = file->size,
        .sha256 = file->sha256,
        .path = file->path,
        .target = file->target,
        .mtime = file->mtime_s,
    };

    meta_yaml_write_json(&entry, writer);
}

int api_files_list(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(listed_page_release) struct listed_page page = { 0 };
    cleanup(buf_release) struct buf body = buf_init(JSON_ANSWER_MAX);
    struct json_writer writer = json_writer_init(&body);
    struct page_request wanted;
    struct span prefix = { 0 };
    int r = request_page(exchange, &wanted, err);

    url_query(http_exchange_url(exchange), "prefix", &prefix);
    if (r == 0)
        r = listings_page(request_services(exchange), &request->caller.identity, request->project,
                          request->app, request->reference, prefix, &wanted, &page, &request->why,
                          err);
    if (r < 0)
        return r;
    json_begin_object(&writer, NULL);
    json_begin_array(&writer, "items");
    for (size_t i = 0; i < page.count; i++)
        write_entry(&writer, &page.items[i]);
    json_end_page(&writer, page.next_cursor);
    return http_answer_json(exchange, 200, &body, err);
}

int api_files_get(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    struct services *services = request_services(exchange);
    const struct identity *identity = &request->caller.identity;
    cleanup(buf_release) struct buf path = buf_init(BUF_UNLIMITED);
    struct content *content = NULL;
    int r = request_path(exchange, &path, err);

    if (r < 0)
        return r;
    if (http_exchange_may_block(exchange))
        r = content_open_file(services, identity, request->project, request->app,
                              request->reference, buf_span(&path), &content, &request->why, err);
    else
        r = content_open_file_cached(services, identity, request->project, request->app,
                                     request->reference, buf_span(&path), &content, &request->why,
                                     err);
    if (r == -EAGAIN && !http_exchange_may_block(exchange))
        return HTTP_BLOCKS;
    return r < 0 ? r : content_answer(exchange, content, "application/octet-stream", NULL, err);
}
