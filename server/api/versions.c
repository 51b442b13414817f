/* SPDX-License-Identifier: MIT */
#include "server/service/versions.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/json.h"
#include "common/model/labels.h"
#include "common/model/record.h"
#include "server/api/handlers.h"
#include "server/api/json_answer.h"
#include "server/api/request.h"
#include "server/http/http_answer.h"
#include "server/service/listings.h"

CLEANUP_DEFINE(json, json_free);

static int answer_version(struct http_exchange *exchange, const struct version_info *info,
                          struct error *err)
{
    cleanup(buf_release) struct buf body = buf_init(JSON_ANSWER_MAX);
    struct json_writer writer = json_writer_init(&body);

    json_write_version(&writer, NULL, info);
    return http_answer_json(exchange, 200, &body, err);
}

/* ?state= */
static int read_state(struct http_exchange *exchange, bool *out_trashed, struct error *err)
{
    const char *state = http_exchange_query(exchange, "state");

    *out_trashed = state != NULL && strcmp(state, "trashed") == 0;
    if (state == NULL || *out_trashed || strcmp(state, "ready") == 0)
        return 0;
    return refusal_at(&request_of(exchange)->why, "",
                      error_set(err, -EINVAL, "state is ready or trashed"));
}

int api_versions_list(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(version_page_release) struct version_page page = { 0 };
    cleanup(buf_release) struct buf body = buf_init(JSON_ANSWER_MAX);
    struct json_writer writer = json_writer_init(&body);
    struct page_request wanted;
    bool trashed = false;
    int r = request_page(exchange, &wanted, err);

    if (r == 0)
        r = read_state(exchange, &trashed, err);
    if (r == 0)
        r = versions_list(request_services(exchange), &request->caller.identity, request->project,
                          request->app, trashed, &wanted, &page, &request->why, err);
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
    int r = versions_get(request_services(exchange), &request->caller.identity, request->project,
                         request->app, request->reference, &info, &request->why, err);

    return r < 0 ? r : answer_version(exchange, &info, err);
}

/* Of a member that may not be changed, or is wrong. */
static int refuse_member(struct request *request, const char *name, int r)
{
    char pointer[64] = "";

    if (strlen(name) < sizeof(pointer) - 1 && strpbrk(name, "~/") == NULL)
        snprintf(pointer, sizeof(pointer), "/%s", name);
    return refusal_at(&request->why, pointer, r);
}

static int read_labels(const struct json_value *value, struct labels *out, struct error *err)
{
    const struct json_value *at = NULL;
    const char *text;
    int r = 0;

    if (json_is_null(value))
        return 0;
    if (!json_is_object(value))
        return error_set(err, -EINVAL, "labels are an object of texts");
    while (r == 0 && (at = json_next(value, at)) != NULL) {
        r = json_get_text(at, json_name(at), &text, err);
        if (r == 0)
            r = labels_add(out, span_text(json_name(at)), span_text(text), err);
    }
    return r;
}

static int read_member(const struct json_value *member, struct labels *labels,
                       struct version_wish *wish, struct error *err)
{
    const char *name = json_name(member);

    if (strcmp(name, "pinned") == 0) {
        wish->set_pinned = true;
        return json_get_bool(member, name, &wish->pinned, err);
    }
    if (strcmp(name, "labels") == 0) {
        wish->set_labels = true;
        return read_labels(member, labels, err);
    }
    if (strcmp(name, "note") == 0) {
        wish->set_note = true;
        return json_is_null(member) ? 0 : json_get_text(member, name, &wish->note, err);
    }
    return error_set(err, -EINVAL, "of a version, pinned, labels and note may be changed");
}

static int read_wish(struct request *request, const struct json_value *object,
                     struct labels *labels, struct version_wish *wish, struct error *err)
{
    const struct json_value *at = NULL;
    int r;

    while ((at = json_next(object, at)) != NULL) {
        r = read_member(at, labels, wish, err);
        if (r < 0)
            return r == -EINVAL ? refuse_member(request, json_name(at), r) : r;
    }
    return 0;
}

int api_versions_change(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(cleanup_json) struct json *json = NULL;
    cleanup(labels_release) struct labels labels = { 0 };
    cleanup(version_info_release) struct version_info info = { 0 };
    struct version_wish wish = { .labels = &labels };
    int r = request_json(exchange, &json, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = read_wish(request, json_root(json), &labels, &wish, err);
    if (r == 0)
        r = versions_change(request_services(exchange), &request->caller, request->project,
                            request->app, request->reference, &wish, &info, &request->why, err);
    return r < 0 ? r : answer_version(exchange, &info, err);
}

int api_versions_delete(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(version_info_release) struct version_info info = { 0 };
    int r = versions_delete(request_services(exchange), &request->caller, request->project,
                            request->app, request->reference, request_flag(exchange, "force"),
                            &info, &request->why, err);

    return r < 0 ? r : answer_version(exchange, &info, err);
}

int api_versions_restore(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(version_info_release) struct version_info info = { 0 };
    int r = versions_restore(request_services(exchange), &request->caller, request->project,
                             request->app, request->reference, &info, &request->why, err);

    return r < 0 ? r : answer_version(exchange, &info, err);
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
