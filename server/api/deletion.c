/* SPDX-License-Identifier: MIT */
#include "server/service/deletion.h"

#include "common/base/cleanup.h"
#include "server/api/handlers.h"
#include "server/api/job_answer.h"
#include "server/api/request.h"
#include "server/service/jobs.h"

static int answer_deletion(struct http_exchange *exchange, const char *app, struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(job_release) struct job job = { 0 };
    int r = deletion_ask(request_services(exchange), &request->caller, request->project, app,
                         request_flag(exchange, "force"), &job, &request->why, err);

    return r < 0 ? r : job_answer(exchange, 202, &job, err);
}

int api_projects_delete(struct http_exchange *exchange, void *context, struct error *err)
{
    return answer_deletion(exchange, NULL, err);
}

int api_apps_delete(struct http_exchange *exchange, void *context, struct error *err)
{
    return answer_deletion(exchange, request_of(exchange)->app, err);
}
