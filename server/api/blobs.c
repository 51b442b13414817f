/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "common/codec/digest.h"
#include "server/api/content_answer.h"
#include "server/api/handlers.h"
#include "server/api/request.h"
#include "server/service/content.h"

/* On the loop as long as memory knows token, version and blob; once on a worker when it does
 * not. */
int api_blobs_get(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    struct services *services = request_services(exchange);
    const struct identity *identity = &request->caller.identity;
    struct content *content = NULL;
    struct digest sha256;
    int r = request_digest(exchange, &sha256, err);

    if (r < 0)
        return r;
    if (http_exchange_may_block(exchange))
        r = content_open_blob(services, identity, request->project, request->app,
                              request->reference, &sha256, &content, &request->why, err);
    else
        r = content_open_blob_cached(services, identity, request->project, request->app,
                                     request->reference, &sha256, &content, &request->why, err);
    if (r == -EAGAIN && !http_exchange_may_block(exchange))
        return HTTP_BLOCKS;
    return r < 0 ? r
                 : content_answer(exchange, content, "application/octet-stream", CONTENT_IMMUTABLE,
                                  err);
}

int api_blobs_merkle(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    struct content *content = NULL;
    struct digest sha256;
    int r = request_digest(exchange, &sha256, err);

    if (r == 0)
        r = content_open_blob_merkle(request_services(exchange), &request->caller.identity,
                                     request->project, request->app, request->reference, &sha256,
                                     &content, &request->why, err);
    return r < 0 ? r
                 : content_answer(exchange, content, "application/octet-stream", CONTENT_IMMUTABLE,
                                  err);
}
