/* SPDX-License-Identifier: MIT */
#include "server/api/job_answer.h"

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "server/api/json_answer.h"
#include "server/http/http_answer.h"

int job_answer(struct http_exchange *exchange, unsigned status, const struct job *job,
               struct error *err)
{
    cleanup(buf_release) struct buf body = buf_init(JSON_ANSWER_MAX);
    struct json_writer writer = json_writer_init(&body);

    json_write_job(&writer, NULL, job);
    return http_answer_json(exchange, status, &body, err);
}
