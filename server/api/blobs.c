/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <strings.h>

#include "common/codec/digest.h"
#include "common/model/delta.h"
#include "server/api/content_answer.h"
#include "server/api/handlers.h"
#include "server/api/request.h"
#include "server/http/http_answer.h"
#include "server/service/content.h"

/* ?from=: *out is the delta, or NULL: the blob is to be given whole, as without it. What is no
 * digest names no blob, and is answered like one that does not exist. */
static int open_delta(struct http_exchange *exchange, const struct digest *sha256,
                      struct content **out, bool *out_later, struct error *err)
{
    struct request *request = request_of(exchange);
    const char *from = http_exchange_query(exchange, "from");
    struct digest base;
    int r;

    *out = NULL;
    *out_later = false;
    if (from == NULL || http_exchange_method(exchange) != HTTP_GET ||
        digest_parse(span_text(from), &base, NULL) < 0)
        return 0;
    if (!http_exchange_may_block(exchange))
        return HTTP_BLOCKS;
    r = content_open_delta(request_services(exchange), &request->caller.identity, request->project,
                           request->app, request->reference, sha256, &base, out, &request->why,
                           err);
    *out_later = r == CONTENT_DELTA_LATER;
    return r == CONTENT_DELTA_LATER ? 0 : r;
}

/* RFC 7240: whoever has other things to do comes back for a delta rather than take the whole. */
static bool may_come_back(const struct http_exchange *exchange)
{
    const char *prefer = http_exchange_header(exchange, "Prefer");

    return prefer != NULL && strcasecmp(prefer, "respond-async") == 0;
}

static int answer_later(struct http_exchange *exchange, struct error *err)
{
    int r = http_answer_header(exchange, "Cache-Control", CONTENT_NOT_KEPT, err);

    if (r == 0)
        r = http_answer_header(exchange, "Retry-After", "1", err);
    return r < 0 ? r : http_answer_empty(exchange, 202, err);
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
    bool later = false;
    int r = request_digest(exchange, &sha256, err);

    if (r == 0)
        r = open_delta(exchange, &sha256, &content, &later, err);
    if (r != 0)
        return r;
    if (later && may_come_back(exchange))
        return answer_later(exchange, err);
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
