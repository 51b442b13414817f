/* SPDX-License-Identifier: MIT */
#include "server/service/promotions.h"

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/json.h"
#include "server/api/handlers.h"
#include "server/api/json_answer.h"
#include "server/api/request.h"
#include "server/http/http_answer.h"

CLEANUP_DEFINE(json, json_free);

/* What both take; the member that names the version is another. */
static int read_request(struct http_exchange *exchange, const struct json_value *object,
                        const char *version, struct promotion_request *out, struct error *err)
{
    const struct request *request = request_of(exchange);
    int r = request_member_text(exchange, object, version, &out->version, err);

    out->project = request->project;
    out->app = request->app;
    if (r == 0)
        r = request_member_text(exchange, object, "channel", &out->channel, err);
    if (r == 0)
        r = request_member_text(exchange, object, "expect", &out->expect, err);
    if (r == 0)
        r = request_member_text(exchange, object, "note", &out->note, err);
    return r;
}

static int answer_channel(struct http_exchange *exchange, const char *state,
                          const struct channel *channel, struct error *err)
{
    cleanup(buf_release) struct buf body = buf_init(JSON_ANSWER_MAX);
    struct json_writer writer = json_writer_init(&body);
    const struct request *request = request_of(exchange);

    json_begin_object(&writer, NULL);
    json_text(&writer, "state", state);
    json_text(&writer, "project", request->project);
    json_text(&writer, "app", request->app);
    json_text(&writer, "channel", channel->name);
    json_channel_members(&writer, channel);
    json_end(&writer);
    return http_answer_json(exchange, 200, &body, err);
}

typedef int mover(struct services *services, const struct caller *caller,
                  const struct promotion_request *request, struct channel *out, struct refusal *why,
                  struct error *err);

static int move(struct http_exchange *exchange, mover *function, const char *version,
                const char *moved, struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(cleanup_json) struct json *json = NULL;
    struct promotion_request wanted = { 0 };
    struct channel channel;
    int r = request_json(exchange, &json, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = read_request(exchange, json_root(json), version, &wanted, err);
    if (r == 0)
        r = function(request_services(exchange), &request->caller, &wanted, &channel, &request->why,
                     err);
    return r < 0 ? r : answer_channel(exchange, r == 1 ? moved : "current", &channel, err);
}

int api_promote(struct http_exchange *exchange, void *context, struct error *err)
{
    return move(exchange, promotions_promote, "version", "promoted", err);
}

int api_rollback(struct http_exchange *exchange, void *context, struct error *err)
{
    return move(exchange, promotions_rollback, "to", "rolled-back", err);
}

static void write_entry(struct json_writer *writer, const struct promotion_entry *entry)
{
    json_begin_object(writer, NULL);
    json_integer(writer, "id", entry->id);
    json_text(writer, "channel", entry->channel);
    json_text(writer, "action", entry->is_rollback ? "rollback" : "promote");
    json_text(writer, "version", entry->version);
    json_text(writer, "previous", entry->previous[0] != '\0' ? entry->previous : NULL);
    json_text(writer, "actor", entry->actor[0] != '\0' ? entry->actor : NULL);
    json_text(writer, "note", entry->note);
    json_time(writer, "at", entry->at_s);
    json_end(writer);
}

int api_promotions_list(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(promotion_page_release) struct promotion_page page = { 0 };
    cleanup(buf_release) struct buf body = buf_init(JSON_ANSWER_MAX);
    struct json_writer writer = json_writer_init(&body);
    struct page_request wanted;
    int r = request_page(exchange, &wanted, err);

    if (r == 0)
        r = promotions_list(request_services(exchange), &request->caller.identity, request->project,
                            request->app, http_exchange_query(exchange, "channel"), &wanted, &page,
                            &request->why, err);
    if (r < 0)
        return r;
    json_begin_object(&writer, NULL);
    json_begin_array(&writer, "items");
    for (size_t i = 0; i < page.count; i++)
        write_entry(&writer, &page.items[i]);
    json_end_page(&writer, page.next_cursor);
    return http_answer_json(exchange, 200, &body, err);
}
