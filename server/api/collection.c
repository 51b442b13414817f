/* SPDX-License-Identifier: MIT */
#include "server/service/collection.h"

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

int api_gc_preview(struct http_exchange *exchange, void *context, struct error *err)
{
    cleanup(buf_release) struct buf body = buf_init(JSON_ANSWER_MAX);
    struct json_writer writer = json_writer_init(&body);
    struct collection_preview preview;
    int r = collection_look(request_services(exchange), &preview, err);

    if (r < 0)
        return r;
    collection_write(&writer, NULL, &preview);
    return http_answer_json(exchange, 200, &body, err);
}

int api_gc_run(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(job_release) struct job job = { 0 };
    int r = jobs_submit(request_services(exchange), &request->caller, "gc", NULL, NULL, NULL, &job,
                        err);

    return r < 0 ? r : job_answer(exchange, 202, &job, err);
}
