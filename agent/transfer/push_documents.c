/* SPDX-License-Identifier: MIT */
#include "agent/transfer/push_documents.h"

#include <errno.h>
#include <string.h>

#include "agent/transfer/hint_cache.h"
#include "agent/transfer/push_busy.h"
#include "agent/transfer/scan.h"
#include "agent/transfer/transfer.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/client/api_pushes.h"
#include "common/codec/zstd.h"
#include "common/model/chunk_list.h"
#include "common/model/delta.h"
#include "common/model/delta_plan.h"
#include "common/model/problem.h"
#include "common/model/upload_windows.h"

#define DOCUMENT_TRIES 2 /* of what is refused as if it were damaged */
/* Up to here a document is one patch of the last one; above, its chunks are looked for. */
#define WHOLE_PATCH_MAX ((size_t)16 << 20)
#define DELTA_PART 8 /* a delta is small when it has no more than this part of the document */

CLEANUP_DEFINE(delta_writer, delta_writer_free);
CLEANUP_DEFINE(zstd_writer, zstd_writer_free);

enum document { DOCUMENT_LISTING, DOCUMENT_TIMES };

static const char *const kinds[] = { [DOCUMENT_LISTING] = "listing", [DOCUMENT_TIMES] = "times" };

static int write_document(const struct push_documents_options *options, enum document document,
                          struct sink sink, struct error *err)
{
    struct listing_totals totals;
    struct digest digest;

    return document == DOCUMENT_TIMES ? scan_write_times(options->scan, sink, &digest, err)
                                      : scan_write_listing(options->scan, sink, &totals, err);
}

static int to_buf(void *context, struct span bytes, struct error *err)
{
    struct buf *out = context;

    buf_add_span(out, bytes);
    return buf_check(out, err);
}

static int to_zstd(void *context, const void *bytes, size_t size, struct error *err)
{
    return zstd_writer_add(context, span_of(bytes, size), err);
}

static int pack(const struct push_documents_options *options, enum document document,
                struct buf *out, struct error *err)
{
    cleanup(cleanup_zstd_writer) struct zstd_writer *writer = NULL;
    int r = zstd_writer_new(&writer, ZSTD_LEVEL_DEFAULT, UINT64_MAX, to_buf, out, err);

    if (r == 0)
        zstd_writer_limit_window(writer, UPLOAD_DOCUMENT_WINDOW_LOG);
    if (r == 0)
        r = write_document(options, document, (struct sink){ to_zstd, writer }, err);
    return r < 0 ? r : zstd_writer_end(writer, err);
}

/* What was pushed last to this app of this store: its name in the hint cache. */
static struct digest kept_name(const struct push_documents_options *options)
{
    struct digest_stream stream;
    const char *const parts[] = { api_client_store(options->transfer->client),
                                  options->spec->project, options->spec->app };

    digest_stream_init(&stream);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        digest_stream_add(&stream, parts[i], strlen(parts[i]) + 1);
    return digest_stream_end(&stream);
}

static int add_chunks(struct span base, struct span target, struct delta_writer *writer,
                      struct error *err)
{
    cleanup(buf_release) struct buf base_object = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf target_object = buf_init(BUF_UNLIMITED);
    cleanup(delta_plan_release) struct delta_plan plan = { 0 };
    struct chunk_list base_list, target_list;
    int r = chunk_list_build(base, NULL, &base_object, err);

    if (r == 0)
        r = chunk_list_build(target, NULL, &target_object, err);
    if (r == 0)
        r = chunk_list_open(buf_span(&base_object), &base_list, err);
    if (r == 0)
        r = chunk_list_open(buf_span(&target_object), &target_list, err);
    if (r == 0)
        r = delta_plan_of_lists(&base_list, &target_list, &plan, err);
    return r < 0 ? r
                 : delta_plan_write(&plan, delta_source_of_span(&base),
                                    delta_source_of_span(&target), writer, err);
}

static int make_delta(struct span base, struct span target, struct buf *out, struct error *err)
{
    const struct delta_header header = { .base = digest_of_span(base),
                                         .target = digest_of_span(target),
                                         .base_size = base.size,
                                         .target_size = target.size };
    bool whole = base.size <= WHOLE_PATCH_MAX && target.size <= WHOLE_PATCH_MAX;
    cleanup(cleanup_delta_writer) struct delta_writer *writer = NULL;
    int r = delta_writer_new(&writer, &header, ZSTD_LEVEL_DEFAULT, sink_to_buf(out), err);

    if (r == 0)
        r = whole || base.size < CHUNK_LIST_MIN_SIZE || target.size < CHUNK_LIST_MIN_SIZE
                ? delta_writer_patch(writer, target, 0, base, err)
                : add_chunks(base, target, writer, err);
    return r < 0 ? r : delta_writer_end(writer, err);
}

/* True: *out is a small delta. */
static bool find_delta(const struct push_documents_options *options, enum document document,
                       struct buf *out)
{
    cleanup(buf_release) struct buf base = buf_init(PUSH_DOCUMENTS_MAX + DIGEST_SIZE);
    cleanup(buf_release) struct buf target = buf_init(PUSH_DOCUMENTS_MAX);
    struct digest name = kept_name(options);

    return hint_cache_get(options->cache, &name, kinds[document], &base) && base.size > 0 &&
           write_document(options, document, sink_to_buf(&target), NULL) == 0 &&
           make_delta(buf_span(&base), buf_span(&target), out, NULL) == 0 &&
           out->size <= target.size / DELTA_PART;
}

/* *out_damaged: it was refused for what it holds, and a bit may have turned on its way. */
static int put(const struct push_documents_options *options, enum document document,
               struct span bytes, enum api_push_coding coding, bool *out_damaged, struct error *err)
{
    struct api_client *client = options->transfer->client;
    struct http_body body = { .kind = HTTP_BODY_SPAN, .span = bytes, .size = bytes.size };
    const char *id = options->push->id;
    struct api_problem problem;
    uint64_t busy_since_ms = 0;
    int r;

    do {
        problem.code[0] = '\0';
        r = document == DOCUMENT_TIMES
                ? api_push_put_times(client, options->spec, id, body, coding, &problem, err)
                : api_push_put_listing(client, options->spec, id, body, coding, &problem, err);
    } while (r < 0 && push_busy_wait(options->transfer, &problem, &busy_since_ms));
    *out_damaged = r < 0 && (strcmp(problem.code, "validation") == 0 ||
                             strcmp(problem.code, "digest-mismatch") == 0);
    return r;
}

/* 0: it was taken. A delta that was refused is no failure: 1. */
static int send_delta(const struct push_documents_options *options, enum document document,
                      struct error *err)
{
    cleanup(buf_release) struct buf delta = buf_init((size_t)options->push->part_size);
    struct error told = { 0 };
    bool damaged;
    int r;

    if (!find_delta(options, document, &delta))
        return 1;
    r = put(options, document, buf_span(&delta), API_PUSH_DELTA, &damaged, &told);
    if (r == 0)
        transfer_detail(options->transfer, "the %s: delta, %zu bytes", kinds[document], delta.size);
    return r == -ECANCELED || r == -ENOMEM ? error_set(err, r, "%s", told.text) : r < 0;
}

static int send_document(const struct push_documents_options *options, enum document document,
                         struct error *err)
{
    cleanup(buf_release) struct buf packed = buf_init(BUF_UNLIMITED);
    bool damaged = true;
    int r = send_delta(options, document, err);

    if (r <= 0)
        return r;
    r = pack(options, document, &packed, err);
    if (r < 0)
        return r;
    for (int i = 0; damaged && i < DOCUMENT_TRIES; i++)
        r = put(options, document, buf_span(&packed), API_PUSH_ZSTD, &damaged, err);
    if (damaged) { /* each time: the way is bad */
        error_prefix(err, r, "the %s does not arrive as it is sent", kinds[document]);
        transfer_failed(options->transfer, r, EXIT_INTEGRITY);
    }
    return r;
}

int push_documents_send(const struct push_documents_options *options, struct error *err)
{
    int r = 0;

    if (options->push->wants_listing)
        r = send_document(options, DOCUMENT_LISTING, err);
    if (r == 0 && options->push->wants_times)
        r = send_document(options, DOCUMENT_TIMES, err);
    return r;
}

int push_documents_size(const struct push_documents_options *options, uint64_t *out_size,
                        struct error *err)
{
    uint64_t size = 0;
    int r = 0;

    for (int document = DOCUMENT_LISTING; r == 0 && document <= DOCUMENT_TIMES; document++) {
        cleanup(buf_release) struct buf packed = buf_init(BUF_UNLIMITED);

        r = pack(options, (enum document)document, &packed, err);
        size += packed.size;
    }
    if (r == 0)
        *out_size = size;
    return r;
}

bool push_documents_listing(const struct push_documents_options *options,
                            const struct digest *content, struct buf *out)
{
    struct digest name = kept_name(options), digest;

    if (!hint_cache_get(options->cache, &name, kinds[DOCUMENT_LISTING], out))
        return false;
    digest = digest_of_span(buf_span(out));
    return digest_equal(&digest, content);
}

void push_documents_keep(const struct push_documents_options *options)
{
    struct digest name = kept_name(options);

    for (int i = DOCUMENT_LISTING; options->cache != NULL && i <= DOCUMENT_TIMES; i++) {
        cleanup(buf_release) struct buf document = buf_init(PUSH_DOCUMENTS_MAX);

        if (write_document(options, (enum document)i, sink_to_buf(&document), NULL) == 0)
            hint_cache_put(options->cache, &name, kinds[i], buf_span(&document));
    }
}
