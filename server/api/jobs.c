/* SPDX-License-Identifier: MIT */
#include "server/service/jobs.h"

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/json.h"
#include "server/api/handlers.h"
#include "server/api/job_answer.h"
#include "server/api/json_answer.h"
#include "server/api/request.h"
#include "server/http/http_answer.h"

int api_jobs_list(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(job_page_release) struct job_page page = { 0 };
    cleanup(buf_release) struct buf body = buf_init(JSON_ANSWER_MAX);
    struct json_writer writer = json_writer_init(&body);
    struct page_request wanted;
    int r = request_page(exchange, &wanted, err);

    if (r == 0)
        r = jobs_list(request_services(exchange), &request->caller.identity, &wanted, &page,
                      &request->why, err);
    if (r < 0)
        return r;
    json_begin_object(&writer, NULL);
    json_begin_array(&writer, "items");
    for (size_t i = 0; i < page.count; i++)
        json_write_job(&writer, NULL, &page.items[i]);
    json_end_page(&writer, page.next_cursor);
    return http_answer_json(exchange, 200, &body, err);
}

int api_jobs_get(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(job_release) struct job job = { 0 };
    int r = jobs_get(request_services(exchange), &request->caller.identity, request->job, &job,
                     &request->why, err);

    return r < 0 ? r : job_answer(exchange, 200, &job, err);
}

int api_jobs_cancel(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(job_release) struct job job = { 0 };
    int r = jobs_cancel(request_services(exchange), &request->caller, request->job, &job,
                        &request->why, err);

    return r < 0 ? r : job_answer(exchange, 200, &job, err);
}
