/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/json.h"
#include "server/api/handlers.h"
#include "server/api/json_answer.h"
#include "server/api/request.h"
#include "server/http/http_answer.h"
#include "server/service/leases.h"

CLEANUP_DEFINE(json, json_free);

static void write_lease(struct json_writer *writer, const struct services *services,
                        const struct lease *lease)
{
    json_begin_object(writer, NULL);
    json_text(writer, "host", lease->host);
    json_text(writer, "place", lease->place);
    json_text(writer, "project", lease->project);
    json_text(writer, "app", lease->app);
    json_text(writer, "version", lease->version);
    json_text(writer, "mode", lease_mode_name(lease->mode));
    json_text(writer, "state", lease->state);
    json_time(writer, "since", lease->since_s);
    json_time(writer, "renewed_at", lease->renewed_at_s);
    json_time(writer, "expires_at", lease->expires_at_s);
    json_bool(writer, "stale", leases_is_stale(services, lease));
    json_text(writer, "token", lease->token_name);
    json_end(writer);
}

int api_hosts_list(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    struct services *services = request_services(exchange);
    const struct lease_filter filter = { .project = http_exchange_query(exchange, "project"),
                                         .app = http_exchange_query(exchange, "app"),
                                         .version = http_exchange_query(exchange, "version"),
                                         .state = http_exchange_query(exchange, "state") };
    cleanup(lease_page_release) struct lease_page page = { 0 };
    cleanup(buf_release) struct buf body = buf_init(JSON_ANSWER_MAX);
    struct json_writer writer = json_writer_init(&body);
    struct page_request wanted;
    int r = request_page(exchange, &wanted, err);

    if (r == 0)
        r = leases_list(services, &request->caller.identity, &filter, &wanted, &page, &request->why,
                        err);
    if (r < 0)
        return r;
    json_begin_object(&writer, NULL);
    json_begin_array(&writer, "items");
    for (size_t i = 0; i < page.count; i++)
        write_lease(&writer, services, &page.items[i]);
    json_end_page(&writer, page.next_cursor);
    return http_answer_json(exchange, 200, &body, err);
}

static int read_since(const struct json_value *object, int64_t *out, struct error *err)
{
    const char *text = NULL;
    int r = json_member_text(object, "since", &text, err);

    if (r < 0 || text == NULL)
        return r;
    r = clock_parse(span_text(text), out, err);
    return r < 0 ? error_prefix(err, -EINVAL, "since") : 0;
}

/* What each member has to be is the service's to say; here only of which type it is. */
static int read_item(struct http_exchange *exchange, const struct json_value *object, size_t index,
                     struct lease_said *out, struct error *err)
{
    const struct {
        const char *name, **out;
    } texts[] = {
        { "project", &out->project }, { "app", &out->app },   { "version", &out->version },
        { "place", &out->place },     { "mode", &out->mode }, { "state", &out->state },
    };
    const char *name = "";
    char pointer[64];
    int r = json_is_object(object) ? 0 : error_set(err, -EINVAL, "a lease is an object");

    for (size_t i = 0; r == 0 && i < sizeof(texts) / sizeof(texts[0]); i++) {
        name = texts[i].name;
        r = json_member_text(object, name, texts[i].out, err);
    }
    if (r == 0) {
        name = "since";
        r = read_since(object, &out->since_s, err);
    }
    if (r == 0)
        return 0;
    snprintf(pointer, sizeof(pointer), "/leases/%zu%s%s", index, name[0] != '\0' ? "/" : "", name);
    return refusal_at(&request_of(exchange)->why, pointer, r);
}

static int read_items(struct http_exchange *exchange, const struct json_value *leases,
                      struct lease_said *items, struct error *err)
{
    const struct json_value *at = NULL;
    int r = 0;

    for (size_t i = 0; r == 0 && (at = json_next(leases, at)) != NULL; i++)
        r = read_item(exchange, at, i, &items[i], err);
    return r;
}

static int put_items(struct http_exchange *exchange, const struct json_value *body,
                     const struct json_value *leases, struct lease_said *items,
                     int64_t *out_expires_at_s, struct error *err)
{
    struct request *request = request_of(exchange);
    struct leases_request said = { .host = request->host,
                                   .items = items,
                                   .count = json_count(leases) };
    int r = request_member_bool(exchange, body, "replace", &said.replace, err);

    if (r == 0)
        r = request_member_text(exchange, body, "within", &said.within, err);
    if (r == 0)
        r = read_items(exchange, leases, items, err);
    if (r == 0)
        r = leases_put(request_services(exchange), &request->caller, &said, out_expires_at_s,
                       &request->why, err);
    return r;
}

int api_leases_put(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(cleanup_json) struct json *json = NULL;
    cleanup_memory struct lease_said *items = NULL;
    cleanup(buf_release) struct buf body = buf_init(JSON_ANSWER_MAX);
    struct json_writer writer = json_writer_init(&body);
    const struct json_value *leases;
    int64_t expires_at_s;
    int r = request_json(exchange, &json, err);

    if (r != 0)
        return r < 0 ? r : 0;
    leases = json_member(json_root(json), "leases");
    if (!json_is_array(leases))
        return refusal_at(&request->why, "/leases",
                          error_set(err, -EINVAL, "leases has to be an array"));
    if (json_count(leases) > LEASES_PUT_MAX)
        return refusal_at(&request->why, "/leases",
                          error_set(err, -EINVAL, "at most %d leases at once", LEASES_PUT_MAX));
    items = memory_array(json_count(leases), sizeof(*items));
    if (items == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = put_items(exchange, json_root(json), leases, items, &expires_at_s, err);
    if (r < 0)
        return r;
    json_begin_object(&writer, NULL);
    json_integer(&writer, "renew_in_s", LEASES_RENEW_S);
    json_time(&writer, "expires_at", expires_at_s);
    json_end(&writer);
    return http_answer_json(exchange, 200, &body, err);
}

int api_leases_remove(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    char place[LEASE_PLACE_SIZE];
    int r = request_place(exchange, place, sizeof(place), err);

    if (r == 0)
        r = leases_remove(request_services(exchange), &request->caller, request->host, place,
                          &request->why, err);
    return r < 0 ? r : http_answer_empty(exchange, 204, err);
}

int api_pulls_report(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(cleanup_json) struct json *json = NULL;
    cleanup(buf_release) struct buf body = buf_init(JSON_ANSWER_MAX);
    struct json_writer writer = json_writer_init(&body);
    struct pull_report report;
    const char *host = "";
    int r = request_json(exchange, &json, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = request_member_text(exchange, json_root(json), "host", &host, err);
    if (r == 0)
        r = leases_report_pull(request_services(exchange), &request->caller, request->project,
                               request->app, request->reference, host, &report, &request->why, err);
    if (r < 0)
        return r;
    json_begin_object(&writer, NULL);
    json_text(&writer, "project", request->project);
    json_text(&writer, "app", request->app);
    json_text(&writer, "version", report.version);
    json_text(&writer, "host", host);
    json_bool(&writer, "counted", report.counted);
    json_end(&writer);
    return http_answer_json(exchange, report.counted ? 201 : 200, &body, err);
}
