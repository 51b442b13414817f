/* SPDX-License-Identifier: MIT */
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "server/api/handlers.h"
#include "server/api/openapi_text.h"
#include "server/http/http_answer.h"

int api_openapi(struct http_exchange *exchange, void *context, struct error *err)
{
    cleanup(buf_release) struct buf body = buf_init(openapi_text_size);

    buf_add(&body, openapi_text, openapi_text_size);
    return http_answer_text(exchange, 200, "application/yaml", &body, true, err);
}
