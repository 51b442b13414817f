/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "common/codec/digest.h"
#include "common/codec/zstd.h"
#include "common/model/repr_digest.h"
#include "common/model/upload_windows.h"
#include "server/api/handlers.h"
#include "server/api/request.h"
#include "server/http/http_answer.h"
#include "server/http/http_server.h"
#include "server/service/blob_upload.h"

#define NEW_NAME "new-"

/* What the path says: a digest, or new-N. */
struct blob_name {
    bool is_new;
    uint32_t number;
    struct digest sha256;
};

/* A part of a blob on its way in. */
struct taken_part {
    struct blob_upload *upload;
    struct request *request;
    struct zstd_reader *zstd; /* when it comes so; or NULL */
    bool is_refused;
};

static int offset_header(struct http_exchange *exchange, const char *name, uint64_t value,
                         struct error *err)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, value);
    return http_answer_header(exchange, name, text, err);
}

static bool is_new_name(struct span text, uint32_t *out_number)
{
    const size_t size = strlen(NEW_NAME);
    uint64_t number;

    if (text.size <= size || memcmp(text.bytes, NEW_NAME, size) != 0 ||
        (text.bytes[size] == '0' && text.size > size + 1) ||
        number_parse(span_slice(text, size, SIZE_MAX), UINT32_MAX, &number, NULL) < 0)
        return false;
    *out_number = (uint32_t)number;
    return true;
}

static int read_name(struct http_exchange *exchange, struct blob_name *out, struct error *err)
{
    out->is_new = is_new_name(request_blob_text(exchange), &out->number);
    return out->is_new ? 0 : request_digest(exchange, &out->sha256, err);
}

int api_push_blobs_head(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    uint64_t offset = 0, length = 0;
    struct blob_name name;
    int r = read_name(exchange, &name, err);

    if (r == 0 && name.is_new)
        r = blob_upload_offset_new(request_services(exchange), &request->caller, request->project,
                                   request->app, request->push, name.number, &offset, &length,
                                   &request->why, err);
    else if (r == 0)
        r = blob_upload_offset(request_services(exchange), &request->caller, request->project,
                               request->app, request->push, &name.sha256, &offset, &length,
                               &request->why, err);
    if (r == 0)
        r = offset_header(exchange, "Upload-Offset", offset, err);
    if (r == 0)
        r = offset_header(exchange, "Upload-Length", length, err);
    if (r == 0)
        r = http_answer_header(exchange, "Cache-Control", "no-store", err);
    return r < 0 ? r : http_answer_empty(exchange, 200, err);
}

static void forget(void *sink)
{
    struct taken_part *taken = sink;

    zstd_reader_free(taken->zstd);
    blob_upload_free(taken->upload);
    memory_free(taken);
}

/* The client went away, or the body was refused. */
static void abort_part(void *sink)
{
    struct taken_part *taken = sink;

    if (!taken->is_refused)
        blob_upload_break_off(taken->upload);
    forget(taken);
}

static int add_plain(void *sink, struct span bytes, struct error *err)
{
    struct taken_part *taken = sink;

    return blob_upload_add(taken->upload, bytes, &taken->request->why, err);
}

/* How many bytes the part has once it is unpacked. */
static int read_size(struct http_exchange *exchange, struct taken_part *taken, bool packed,
                     uint64_t *out_size, struct error *err)
{
    int r;

    if (!packed) {
        http_exchange_body_size(exchange, out_size);
        return 0;
    }
    r = request_header_number(exchange, "Upload-Part-Length", out_size, err);
    if (r == 0)
        r = zstd_reader_new(&taken->zstd, *out_size, add_plain, taken, err);
    if (r == 0)
        zstd_reader_limit_window(taken->zstd, UPLOAD_PART_WINDOW_LOG);
    return r;
}

/* Repr-Digest, where it is said. */
static int read_claim(struct http_exchange *exchange, struct digest *out, bool *out_has,
                      struct error *err)
{
    const char *text = http_exchange_header(exchange, "Repr-Digest");
    int r;

    *out_has = false;
    if (text == NULL)
        return 0;
    r = repr_digest_parse(span_text(text), out, err);
    if (r < 0)
        return r == -EINVAL ? refusal_at(&request_of(exchange)->why, "", r) : r;
    *out_has = true;
    return 0;
}

static int begin_upload(struct http_exchange *exchange, const struct blob_name *name,
                        uint64_t offset, uint64_t length, uint64_t part_size,
                        struct blob_upload **out, struct error *err)
{
    struct request *request = request_of(exchange);
    struct services *services = request_services(exchange);
    struct digest claimed;
    bool has_claimed;
    int r;

    if (!name->is_new)
        return blob_upload_begin(services, &request->caller, request->project, request->app,
                                 request->push, &name->sha256, offset, length, part_size, out,
                                 &request->why, err);
    r = read_claim(exchange, &claimed, &has_claimed, err);
    return r < 0 ? r
                 : blob_upload_begin_new(services, &request->caller, request->project, request->app,
                                         request->push, name->number, has_claimed ? &claimed : NULL,
                                         offset, length, part_size, out, &request->why, err);
}

static int begin(struct http_exchange *exchange, void *context, void **out_sink, struct error *err)
{
    enum request_coding coding = request_coding_of(exchange);
    uint64_t offset = 0, length = 0, part_size = 0;
    struct taken_part *taken;
    struct blob_name name;
    int r;

    if (coding == REQUEST_CODING_OTHER)
        return http_answer_problem(exchange, "unsupported-media-type",
                                   "a part comes as it is, or as zstd", NULL, NULL, err);
    taken = memory_new(sizeof(*taken));
    if (taken == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    taken->request = request_of(exchange);
    r = read_name(exchange, &name, err);
    if (r == 0)
        r = request_header_number(exchange, "Upload-Offset", &offset, err);
    if (r == 0)
        r = request_header_number(exchange, "Upload-Length", &length, err);
    if (r == 0)
        r = read_size(exchange, taken, coding == REQUEST_CODING_ZSTD, &part_size, err);
    if (r == 0)
        r = begin_upload(exchange, &name, offset, length, part_size, &taken->upload, err);
    if (r < 0) {
        forget(taken);
        return r;
    }
    *out_sink = taken;
    return 0;
}

/* What is wrong with the frame, and not with what it holds. */
static int refuse_frame(struct taken_part *taken, int r, struct error *err)
{
    return taken->request->why.code == REFUSAL_NONE && (r == -EBADMSG || r == -EFBIG)
               ? refusal_at(&taken->request->why, "", error_set(err, -EINVAL, "%s", err->text))
               : r;
}

static int add(void *sink, struct span bytes, struct error *err)
{
    struct taken_part *taken = sink;
    int r;

    r = taken->zstd == NULL ? add_plain(sink, bytes, err)
                            : zstd_reader_add(taken->zstd, bytes, err);
    taken->is_refused |= r < 0;
    return r < 0 && taken->zstd != NULL ? refuse_frame(taken, r, err) : r;
}

static int end(void *sink, struct http_exchange *exchange, struct error *err)
{
    struct taken_part *taken = sink;
    uint64_t offset = 0;
    int r = taken->zstd == NULL ? 0 : zstd_reader_end(taken->zstd, err);

    r = r < 0 ? refuse_frame(taken, r, err)
              : blob_upload_end(taken->upload, &offset, &taken->request->why, err);
    forget(taken);
    if (r == 0)
        r = offset_header(exchange, "Upload-Offset", offset, err);
    return r < 0 ? r : http_answer_empty(exchange, 204, err);
}

const struct http_sink api_push_blobs_append = { begin, add, end, abort_part };
