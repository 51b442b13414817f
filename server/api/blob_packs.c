/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/pack.h"
#include "server/api/handlers.h"
#include "server/api/request.h"
#include "server/http/accept.h"
#include "server/http/http_answer.h"
#include "server/http/http_server.h"
#include "server/service/pack_download.h"

/* The digests that are asked for, 32 bytes each, on their way in. */
struct asked {
    struct request *request;
    struct buf digests;
    bool compress;
};

static int begin(struct http_exchange *exchange, void *context, void **out_sink, struct error *err)
{
    struct asked *asked = memory_new(sizeof(*asked));

    if (asked == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    asked->request = request_of(exchange);
    asked->digests = buf_init((size_t)PACK_DOWNLOAD_COUNT_MAX * DIGEST_SIZE);
    asked->compress = accept_coding(http_exchange_header(exchange, "Accept-Encoding"), "zstd");
    *out_sink = asked;
    return 0;
}

static int add(void *sink, struct span bytes, struct error *err)
{
    struct asked *asked = sink;
    int r;

    buf_add_span(&asked->digests, bytes);
    r = buf_check(&asked->digests, err);
    return r == -EFBIG ? refusal_set(&asked->request->why, REFUSAL_TOO_LARGE, r) : r;
}

static void forget(void *sink)
{
    struct asked *asked = sink;

    buf_release(&asked->digests);
    memory_free(asked);
}

static int source_read(void *context, void *out, size_t size, size_t *out_size, struct error *err)
{
    return pack_download_read(context, out, size, out_size, err);
}

static void source_close(void *context)
{
    pack_download_free(context);
}

static int answer(struct asked *asked, struct http_exchange *exchange, struct error *err)
{
    struct request *request = asked->request;
    struct http_source source = { NULL, source_read, source_close };
    struct pack_download *download;
    int r;

    if (asked->digests.size % DIGEST_SIZE != 0)
        return refusal_at(&request->why, "",
                          error_set(err, -EINVAL, "the body is digests of 32 bytes"));
    r = pack_download_open(request_services(exchange), &request->caller.identity, request->project,
                           request->app, request->reference,
                           (const struct digest *)(const void *)asked->digests.bytes,
                           asked->digests.size / DIGEST_SIZE, asked->compress, &download,
                           &request->why, err);
    if (r < 0)
        return r;
    source.context = download;
    return http_answer_source(exchange, PACK_MEDIA_TYPE, &source, err);
}

static int end(void *sink, struct http_exchange *exchange, struct error *err)
{
    int r = answer(sink, exchange, err);

    forget(sink);
    return r;
}

const struct http_sink api_blob_packs = { begin, add, end, forget };
