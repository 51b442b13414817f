/* SPDX-License-Identifier: MIT */
#include "server/http/http_answer.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "common/base/cleanup.h"
#include "common/base/memory.h"
#include "common/codec/gzip.h"
#include "common/codec/json.h"
#include "common/model/problem.h"
#include "server/http/accept.h"
#include "server/http/http_state.h"

#define COMPRESS_MIN 1024
#define COMPRESS_SLACK 1024 /* what the packer may ask for beyond the text's size */
#define PROBLEM_MAX (64 * 1024)

/* What is wrong with a request before it is one of the API's: no client looks these up. */
static const struct problem transport_problems[] = {
    { "bad-request", 400, -EINVAL, EXIT_OTHER, "Bad request" },
    { "headers-too-large", 431, -EFBIG, EXIT_OTHER, "The request line and headers are too large" },
};

static const struct problem *problem_find(const char *code)
{
    const struct problem *problem = problem_by_code(span_text(code));

    for (size_t i = 0; i < sizeof(transport_problems) / sizeof(transport_problems[0]); i++) {
        if (problem == NULL && strcmp(transport_problems[i].code, code) == 0)
            problem = &transport_problems[i];
    }
    assert(problem != NULL);
    return problem;
}

int http_answer_header(struct http_exchange *exchange, const char *name, const char *value,
                       struct error *err)
{
    struct http_pending_answer *answer = &exchange->answer;
    cleanup_memory char *name_copy = memory_text(name);
    cleanup_memory char *value_copy = memory_text(value);

    if (name_copy == NULL || value_copy == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < answer->header_count; i++) {
        if (strcasecmp(answer->headers[i].name, name) == 0) {
            memory_free(answer->headers[i].value);
            answer->headers[i].value = take_pointer(&value_copy);
            return 0;
        }
    }
    assert(answer->header_count < HTTP_HEADERS_MAX);
    answer->headers[answer->header_count].name = take_pointer(&name_copy);
    answer->headers[answer->header_count++].value = take_pointer(&value_copy);
    return 0;
}

static void headers_forget(struct http_pending_answer *answer)
{
    for (size_t i = 0; i < answer->header_count; i++) {
        memory_free(answer->headers[i].name);
        memory_free(answer->headers[i].value);
    }
    answer->header_count = 0;
}

void http_answer_forget(struct http_exchange *exchange)
{
    struct http_pending_answer *answer = &exchange->answer;

    if (answer->response != NULL)
        MHD_destroy_response(answer->response);
    answer->response = NULL;
    answer->given = false;
    headers_forget(answer);
}

int http_answer_response(struct http_exchange *exchange, unsigned status,
                         struct MHD_Response *response, struct error *err)
{
    struct http_pending_answer *answer = &exchange->answer;
    bool fits;

    assert(!answer->given);
    if (response == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    fits = MHD_add_response_header(response, "X-Request-Id", exchange->request_id) == MHD_YES &&
           MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") == MHD_YES;
    for (size_t i = 0; i < answer->header_count && fits; i++)
        fits = MHD_add_response_header(response, answer->headers[i].name,
                                       answer->headers[i].value) == MHD_YES;
    if (!fits) {
        MHD_destroy_response(response);
        return error_set(err, -ENOMEM, "out of memory");
    }
    headers_forget(answer);
    answer->given = true;
    answer->status = status;
    answer->response = response;
    return 0;
}

static void free_bytes(void *bytes)
{
    memory_free(bytes);
}

/* What is said to a token is that token's, and may be other tomorrow. */
static int cache_default(struct http_exchange *exchange, struct error *err)
{
    for (size_t i = 0; i < exchange->answer.header_count; i++) {
        if (strcasecmp(exchange->answer.headers[i].name, "Cache-Control") == 0)
            return 0;
    }
    return http_answer_header(exchange, "Cache-Control", "private, no-cache", err);
}

/* Takes the bytes of *body, also on failure. */
static int answer_body(struct http_exchange *exchange, unsigned status, struct buf *body,
                       struct error *err)
{
    size_t size = body->size;
    cleanup_memory void *bytes = buf_take(body);
    struct MHD_Response *response;
    int r;

    if (bytes == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    response = MHD_create_response_from_buffer_with_free_callback(size, bytes, free_bytes);
    if (response == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    take_pointer(&bytes);
    r = http_answer_response(exchange, status, response, err);
    if (r == 0)
        exchange->sent_size = size;
    return r;
}

/* Replaces the text by its gzip form when that is asked for and shorter. */
static int compress(struct http_exchange *exchange, struct buf *body, struct error *err)
{
    cleanup(buf_release) struct buf packed =
        buf_init(body->size + body->size / 64 + COMPRESS_SLACK);
    int r;

    if (body->size < COMPRESS_MIN ||
        !accept_coding(http_exchange_header(exchange, "Accept-Encoding"), "gzip"))
        return 0;
    r = gzip_compress(buf_span(body), &packed, err);
    if (r < 0)
        return r;
    if (packed.size >= body->size)
        return 0;
    r = http_answer_header(exchange, "Content-Encoding", "gzip", err);
    if (r < 0)
        return r;
    buf_release(body);
    *body = packed;
    packed = buf_init(0);
    return 0;
}

int http_answer_text(struct http_exchange *exchange, unsigned status, const char *media_type,
                     struct buf *body, bool may_compress, struct error *err)
{
    int r = buf_check(body, err);

    if (r == 0)
        r = http_answer_header(exchange, "Content-Type", media_type, err);
    if (r == 0)
        r = cache_default(exchange, err);
    if (r == 0 && may_compress)
        r = http_answer_header(exchange, "Vary", "Authorization, Accept-Encoding", err);
    if (r == 0 && may_compress)
        r = compress(exchange, body, err);
    if (r < 0)
        return r;
    return answer_body(exchange, status, body, err);
}

int http_answer_json(struct http_exchange *exchange, unsigned status, struct buf *body,
                     struct error *err)
{
    return http_answer_text(exchange, status, "application/json", body, true, err);
}

int http_answer_empty(struct http_exchange *exchange, unsigned status, struct error *err)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);

    return http_answer_response(exchange, status, response, err);
}

static void problem_text(struct buf *out, const struct problem *problem, const char *detail,
                         const char *request_id,
                         void (*extra)(void *context, struct json_writer *writer), void *context)
{
    struct json_writer writer = json_writer_init(out);
    char type[80];

    snprintf(type, sizeof(type), "urn:kkartifact:problem:%s", problem->code);
    json_begin_object(&writer, NULL);
    json_text(&writer, "type", type);
    json_text(&writer, "title", problem->title);
    json_integer(&writer, "status", problem->status);
    if (problem->status < 500)
        json_text(&writer, "detail", detail);
    json_text(&writer, "code", problem->code);
    json_text(&writer, "request_id", request_id);
    if (extra != NULL)
        extra(context, &writer);
    json_end(&writer);
}

static bool has_header(const struct http_pending_answer *answer, const char *name)
{
    for (size_t i = 0; i < answer->header_count; i++) {
        if (strcasecmp(answer->headers[i].name, name) == 0)
            return true;
    }
    return false;
}

static int problem_headers(struct http_exchange *exchange, const struct problem *problem,
                           struct error *err)
{
    int r = http_answer_header(exchange, "Cache-Control", "no-store", err);

    if (r == 0 && problem->status == 401)
        r = http_answer_header(exchange, "WWW-Authenticate",
                               strcmp(problem->code, "unauthenticated") == 0
                                   ? "Bearer"
                                   : "Bearer error=\"invalid_token\"",
                               err);
    if (r == 0 && (problem->status == 429 || problem->status == 503) &&
        !has_header(&exchange->answer, "Retry-After"))
        r = http_answer_header(exchange, "Retry-After", "1", err);
    return r;
}

int http_answer_problem(struct http_exchange *exchange, const char *code, const char *detail,
                        void (*extra)(void *context, struct json_writer *writer), void *context,
                        struct error *err)
{
    const struct problem *problem = problem_find(code);
    cleanup(buf_release) struct buf body = buf_init(PROBLEM_MAX);
    int r;

    problem_text(&body, problem, detail, exchange->request_id, extra, context);
    r = problem_headers(exchange, problem, err);
    if (r < 0)
        return r;
    if (problem->status >= 500 && exchange->failure.code == 0)
        error_set(&exchange->failure, -EIO, "%s: %s", code, detail == NULL ? "" : detail);
    return http_answer_text(exchange, (unsigned)problem->status, "application/problem+json", &body,
                            false, err);
}

int http_answer_error(struct http_exchange *exchange, const struct error *failure,
                      struct error *err)
{
    /* Damaged bytes are the caller's only where a service says so (digest-mismatch). */
    const struct problem *problem =
        failure->code == -EBADMSG ? problem_find("internal") : problem_by_error(failure->code);

    if (problem->status >= 500)
        exchange->failure = *failure;
    return http_answer_problem(exchange, problem->code, failure->text, NULL, NULL, err);
}

/* When not even a problem can be made: nothing here allocates but the library. */
static void answer_bare(struct http_exchange *exchange)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);

    http_answer_forget(exchange);
    exchange->answer.given = true;
    exchange->answer.status = 503;
    exchange->answer.response = response; /* NULL: the connection is closed */
}

void http_answer_failure(struct http_exchange *exchange, const struct error *failure)
{
    struct http_application *application = &exchange->server->application;
    struct error err = { 0 };

    http_answer_forget(exchange);
    if (application->fail != NULL)
        application->fail(exchange, application->context, failure);
    if (!exchange->answer.given && http_answer_error(exchange, failure, &err) < 0)
        answer_bare(exchange);
}
