/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "common/codec/digest.h"
#include "common/model/delta.h"
#include "server/api/content_answer.h"
#include "server/api/handlers.h"
#include "server/api/request.h"
#include "server/service/content.h"

/* ?from=: *out is the delta, or NULL: the blob is to be given whole, as without it. What is no
 * digest names no blob, and is answered like one that does not exist. */
static int open_delta(struct http_exchange *exchange, const struct digest *sha256,
                      struct content **out, struct error *err)
{
    struct request *request = request_of(exchange);
    const char *from = http_exchange_query(exchange, "from");
    struct digest base;

    *out = NULL;
    if (from == NULL || http_exchange_method(exchange) != HTTP_GET ||
        digest_parse(span_text(from), &base, NULL) < 0)
        return 0;
    if (!http_exchange_may_block(exchange))
        return HTTP_BLOCKS;
    return content_open_delta(request_services(exchange), &request->caller.identity,
                              request->project, request->app, request->reference, sha256, &base,
                              out, &request->why, err);
}

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

    if (r == 0)
        r = open_delta(exchange, &sha256, &content, err);
    if (r != 0)
        return r;
    if (content != NULL) /* the next one may be smaller, or right where this one is not */
        return content_answer(exchange, content, DELTA_MEDIA_TYPE, CONTENT_NOT_KEPT, err);
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

int api_blobs_chunks(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    struct content *content = NULL;
    struct digest sha256;
    int r = request_digest(exchange, &sha256, err);

    if (r == 0)
        r = content_open_blob_chunks(request_services(exchange), &request->caller.identity,
                                     request->project, request->app, request->reference, &sha256,
                                     &content, &request->why, err);
    return r < 0 ? r
                 : content_answer(exchange, content, "application/octet-stream", CONTENT_IMMUTABLE,
                                  err);
}
