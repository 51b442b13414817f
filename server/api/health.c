/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "server/api/handlers.h"
#include "server/api/request.h"
#include "server/http/http_answer.h"
#include "server/service/services.h"

static int answer_status(struct http_exchange *exchange, const char *status, struct error *err)
{
    cleanup(buf_release) struct buf body = buf_init(256);
    int r = http_answer_header(exchange, "Cache-Control", "no-store", err);

    if (r < 0)
        return r;
    buf_format(&body, "{\"status\":\"%s\"}", status);
    return http_answer_json(exchange, 200, &body, err);
}

int api_healthz(struct http_exchange *exchange, void *context, struct error *err)
{
    return answer_status(exchange, "ok", err);
}

int api_readyz(struct http_exchange *exchange, void *context, struct error *err)
{
    struct error fault = { 0 };
    int r = services_ready(request_services(exchange), &fault);

    if (r < 0)
        return error_set(err, -EAGAIN, "not ready: %s", fault.text);
    return answer_status(exchange, "ready", err);
}
