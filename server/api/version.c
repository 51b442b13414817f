/* SPDX-License-Identifier: MIT */
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "server/api/handlers.h"
#include "server/api/json_answer.h"
#include "server/api/request.h"
#include "server/http/http_answer.h"
#include "server/service/services.h"

int api_version(struct http_exchange *exchange, void *context, struct error *err)
{
    cleanup(buf_release) struct buf body = buf_init(JSON_ANSWER_MAX);
    struct json_writer writer = json_writer_init(&body);

    json_begin_object(&writer, NULL);
    json_text(&writer, "name", "kkartifact-server");
    json_text(&writer, "version", KKARTIFACT_VERSION);
    json_integer(&writer, "api", 1);
    json_text(&writer, "store", services_store_id(request_services(exchange)));
    json_end(&writer);
    return http_answer_json(exchange, 200, &body, err);
}
