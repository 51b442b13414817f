/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/json.h"
#include "common/model/reads.h"
#include "server/api/handlers.h"
#include "server/api/json_answer.h"
#include "server/api/request.h"
#include "server/http/http_answer.h"
#include "server/service/version_reads.h"

CLEANUP_DEFINE(json, json_free);

static const char *const source_names[] = {
    [READS_NONE] = "none",
    [READS_OWN] = "own",
    [READS_INHERITED] = "inherited",
};

int api_reads_get(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(version_reads_release) struct version_reads found = { .source = READS_NONE };
    cleanup(buf_release) struct buf body = buf_init(JSON_ANSWER_MAX);
    struct json_writer writer = json_writer_init(&body);
    int r =
        version_reads_get(request_services(exchange), &request->caller.identity, request->project,
                          request->app, request->reference, &found, &request->why, err);

    if (r < 0)
        return r;
    json_begin_object(&writer, NULL);
    json_text(&writer, "project", request->project);
    json_text(&writer, "app", request->app);
    json_text(&writer, "version", found.version);
    json_text(&writer, "source", source_names[found.source]);
    if (found.source == READS_INHERITED)
        json_text(&writer, "from", found.from);
    reads_write(&found.reads, &writer, "reads");
    json_end(&writer);
    return http_answer_json(exchange, 200, &body, err);
}

/* The pointer says where, below the member. */
static int read_list(struct http_exchange *exchange, const struct json_value *body,
                     struct reads *out, struct error *err)
{
    char below[READS_POINTER_SIZE], pointer[READS_POINTER_SIZE + 8];
    int r = reads_parse(json_member(body, "reads"), out, below, err);

    if (r == 0 || r == -ENOMEM)
        return r;
    snprintf(pointer, sizeof(pointer), "/reads%s", below);
    return refusal_at(&request_of(exchange)->why, pointer, -EINVAL);
}

int api_reads_put(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(cleanup_json) struct json *json = NULL;
    cleanup(reads_release) struct reads reads = reads_init();
    cleanup(buf_release) struct buf body = buf_init(JSON_ANSWER_MAX);
    struct json_writer writer = json_writer_init(&body);
    struct reads_told told;
    const char *host = "";
    int r = request_json(exchange, &json, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = request_member_text(exchange, json_root(json), "host", &host, err);
    if (r == 0)
        r = read_list(exchange, json_root(json), &reads, err);
    if (r == 0)
        r = version_reads_put(request_services(exchange), &request->caller, request->project,
                              request->app, request->reference, host, &reads, &told, &request->why,
                              err);
    if (r < 0)
        return r;
    json_begin_object(&writer, NULL);
    json_text(&writer, "project", request->project);
    json_text(&writer, "app", request->app);
    json_text(&writer, "version", told.version);
    json_text(&writer, "host", host);
    json_integer(&writer, "files", (int64_t)told.count);
    json_bool(&writer, "kept", told.kept);
    json_end(&writer);
    return http_answer_json(exchange, 200, &body, err);
}
