/* SPDX-License-Identifier: MIT */
#include "server/service/retention.h"

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/json.h"
#include "server/api/handlers.h"
#include "server/api/job_answer.h"
#include "server/api/json_answer.h"
#include "server/api/request.h"
#include "server/http/http_answer.h"
#include "server/service/jobs.h"

CLEANUP_DEFINE(json, json_free);

static void write_item(struct json_writer *writer, const struct retained *item)
{
    json_begin_object(writer, NULL);
    json_text(writer, "project", item->project);
    json_text(writer, "app", item->app);
    json_text(writer, "version", item->version);
    json_time(writer, "created_at", item->created_at_s);
    json_integer(writer, "place", (int64_t)item->place);
    json_integer(writer, "retain_versions", (int64_t)item->keep);
    json_text(writer, "action", item->verdict == RETENTION_GOES ? "trash" : "keep");
    json_text(writer, "reason", retention_verdict_name(item->verdict));
    json_integer(writer, "unique_bytes", (int64_t)item->unique_bytes);
    json_end(writer);
}

static void write_preview(struct json_writer *writer, const struct retention_preview *preview)
{
    const struct retention_sum *sum = &preview->sum;

    json_begin_object(writer, NULL);
    json_integer(writer, "trashed", (int64_t)sum->counts[RETENTION_GOES]);
    json_integer(writer, "bytes", (int64_t)sum->bytes);
    json_begin_object(writer, "kept");
    for (unsigned i = RETENTION_NEWEST; i < RETENTION_VERDICT_COUNT; i++)
        json_integer(writer, retention_verdict_name((enum retention_verdict)i),
                     (int64_t)sum->counts[i]);
    json_end(writer);
    if (preview->too_much[0] != '\0')
        json_text(writer, "safety_limit", preview->too_much);
    json_begin_array(writer, "items");
    for (size_t i = 0; i < preview->count; i++)
        write_item(writer, &preview->items[i]);
    json_end_page(writer, preview->next_cursor);
}

static int answer_preview(struct http_exchange *exchange, const struct retention_request *wanted,
                          struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(retention_preview_release) struct retention_preview preview = { .items = NULL };
    cleanup(buf_release) struct buf body = buf_init(JSON_ANSWER_MAX);
    struct json_writer writer = json_writer_init(&body);
    struct page_request page;
    int r = request_page(exchange, &page, err);

    if (r == 0)
        r = retention_preview(request_services(exchange), &request->caller.identity, wanted, &page,
                              &preview, &request->why, err);
    if (r < 0)
        return r;
    write_preview(&writer, &preview);
    return http_answer_json(exchange, 200, &body, err);
}

static int answer_run(struct http_exchange *exchange, const struct retention_request *wanted,
                      struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(job_release) struct job job = { 0 };
    int r = retention_ask(request_services(exchange), &request->caller, wanted, &job, &request->why,
                          err);

    return r < 0 ? r : job_answer(exchange, 202, &job, err);
}

static int read_scope(struct http_exchange *exchange, const struct json_value *body,
                      struct retention_request *out, struct error *err)
{
    int r = request_member_text(exchange, body, "project", &out->project, err);

    return r < 0 ? r : request_member_text(exchange, body, "app", &out->app, err);
}

int api_retention_preview(struct http_exchange *exchange, void *context, struct error *err)
{
    cleanup(cleanup_json) struct json *json = NULL;
    struct retention_request wanted = { .project = NULL };
    int r = request_json(exchange, &json, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = read_scope(exchange, json_root(json), &wanted, err);
    return r < 0 ? r : answer_preview(exchange, &wanted, err);
}

int api_retention_run(struct http_exchange *exchange, void *context, struct error *err)
{
    cleanup(cleanup_json) struct json *json = NULL;
    struct retention_request wanted = { .project = NULL };
    int r = request_json(exchange, &json, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = read_scope(exchange, json_root(json), &wanted, err);
    if (r >= 0)
        r = request_member_bool(exchange, json_root(json), "force", &wanted.force, err);
    return r < 0 ? r : answer_run(exchange, &wanted, err);
}

int api_apps_cleanup(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(cleanup_json) struct json *json = NULL;
    struct retention_request wanted = { request->project, request->app, false };
    bool is_dry = false;
    int r = request_json(exchange, &json, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = request_member_bool(exchange, json_root(json), "force", &wanted.force, err);
    if (r >= 0)
        r = request_member_bool(exchange, json_root(json), "dry_run", &is_dry, err);
    if (r < 0)
        return r;
    if (is_dry)
        wanted.force = false;
    return is_dry ? answer_preview(exchange, &wanted, err) : answer_run(exchange, &wanted, err);
}
