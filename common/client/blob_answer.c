/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/number.h"
#include "common/client/api_private.h"
#include "common/client/blob_fetch_private.h"
#include "common/model/problem.h"

int leg_wrong(struct leg *leg, struct error *err, const char *what, const char *value)
{
    leg->is_wrong = true;
    return error_set(err, -EIO, "%.100s sent %s %.80s",
                     api_client_server(leg->transfer->engine->client, leg->server), what,
                     value == NULL ? "" : value);
}

bool leg_is_whole(const struct leg *leg)
{
    const struct transfer *transfer = leg->transfer;

    return !transfer_is_collected(transfer) && leg->begin == 0 &&
           transfer->end == transfer->object->key.size;
}

/* "bytes A-B/N", exactly what was asked for. */
static bool is_our_range(const struct leg *leg, const char *value, uint64_t total)
{
    struct span text = span_text(value), part;
    uint64_t first, last, size;

    if (!span_starts_with(text, span_text("bytes ")))
        return false;
    text = span_slice(text, 6, SIZE_MAX);
    if (!span_cut(&text, '-', &part) || number_parse(part, UINT64_MAX, &first, NULL) < 0 ||
        !span_cut(&text, '/', &part) || number_parse(part, UINT64_MAX, &last, NULL) < 0 ||
        number_parse(text, UINT64_MAX, &size, NULL) < 0)
        return false;
    return first == leg->begin && last == leg->transfer->end - 1 && size == total;
}

static bool is_our_etag(const struct transfer *transfer, const char *value)
{
    char hex[DIGEST_HEX_SIZE];

    digest_hex(&transfer->object->key.name, hex);
    return strlen(value) == 66 && value[0] == '"' && value[65] == '"' &&
           memcmp(value + 1, hex, 64) == 0;
}

static int check_headers(struct leg *leg, const struct http_headers *headers, struct error *err)
{
    const struct transfer *transfer = leg->transfer;
    uint64_t total = transfer->object->key.size, length;
    struct merkle_shape shape;
    const char *value;

    if (transfer_is_of_merkle(transfer)) {
        merkle_shape_of(transfer->object->key.size, &shape, NULL);
        total = shape.object_size;
    }
    if (!leg_is_whole(leg)) {
        value = http_headers_get(headers, "Content-Range");
        if (value == NULL || !is_our_range(leg, value, total))
            return leg_wrong(leg, err, "another Content-Range", value);
    }
    value = http_headers_get(headers, "Content-Length");
    if (value != NULL && (number_parse(span_text(value), UINT64_MAX, &length, NULL) < 0 ||
                          length != transfer->end - leg->begin))
        return leg_wrong(leg, err, "another Content-Length", value);
    value = http_headers_get(headers, "ETag");
    if (value != NULL && !transfer_is_of_merkle(transfer) && !is_our_etag(transfer, value))
        return leg_wrong(leg, err, "another ETag", value);
    value = http_headers_get(headers, "Content-Encoding");
    if (value != NULL && strcmp(value, "identity") != 0)
        return leg_wrong(leg, err, "a Content-Encoding", value);
    return 0;
}

int leg_check_answer(struct leg *leg, int status, const struct http_headers *headers,
                     struct error *err)
{
    struct api_client *client = leg->transfer->engine->client;
    char text[16];

    leg->status = status;
    leg->is_ours = api_problem_is_ours(headers);
    leg->retry_after_ms =
        retry_after_parse(http_headers_get(headers, "Retry-After"), clock_now_s());
    if (api_client_check_store(client, leg->server, headers, err) < 0) {
        leg->is_strange = true;
        return -EIO;
    }
    if (status == (leg_is_whole(leg) ? 200 : 206))
        return check_headers(leg, headers, err);
    (void)snprintf(text, sizeof(text), "%d", status);
    if (status < 400 || status == 416)
        return leg_wrong(leg, err, "the status", text);
    return error_set(err, problem_by_status(status)->error, "%.100s answered %d",
                     api_client_server(client, leg->server), status);
}
