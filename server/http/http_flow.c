/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/base/span.h"
#include "server/http/http_state.h"

/*
 * The way of a request through the library's calls of its access handler:
 *
 *   NEW -> (JUDGED) -> BODY ... -> (HANDLED) -> SENT
 *
 * The library calls first with the headers, then with each piece of the body, then
 * with the whole request. An answer given at the first call closes the connection, so it is
 * given there only to refuse a body; everything else is answered at the last call.
 */

static int refuse(struct http_exchange *exchange, const char *code, const char *detail)
{
    struct error err = { 0 };

    if (http_answer_problem(exchange, code, detail, NULL, NULL, &err) < 0)
        http_answer_failure(exchange, &err);
    return 0;
}

static bool is_json(const char *type)
{
    struct span rest = span_text(type), name;

    span_cut(&rest, ';', &name);
    name = span_trim(name);
    return name.size == 16 && strncasecmp((const char *)name.bytes, "application/json", 16) == 0;
}

static void judge_json(struct http_exchange *exchange)
{
    const char *type = http_exchange_header(exchange, "Content-Type");
    const char *coding = http_exchange_header(exchange, "Content-Encoding");

    if (type == NULL || !is_json(type))
        refuse(exchange, "unsupported-media-type", "the body has to be application/json");
    else if (coding != NULL && strcasecmp(coding, "identity") != 0)
        refuse(exchange, "unsupported-media-type", "the body has to be plain, without a coding");
}

/* What can be said against a body before any of it came. */
static void judge_body(struct http_exchange *exchange)
{
    const struct http_operation *operation = exchange->operation;
    const uint64_t max = operation->body == HTTP_BODY_NONE ? HTTP_EXCESS_MAX : operation->body_max;

    if (operation->length_required && !exchange->has_length)
        refuse(exchange, "length-required", "the request needs Content-Length");
    else if (exchange->has_length && exchange->body_size > max)
        refuse(exchange, "too-large", "the body is larger than this operation takes");
    else if (operation->body == HTTP_BODY_JSON && exchange->has_body)
        judge_json(exchange);
    exchange->drop_body = operation->body == HTTP_BODY_NONE;
    exchange->body.maximum = (size_t)max;
}

static int advance_sink(struct http_exchange *exchange)
{
    struct http_upload *upload = &exchange->upload;
    struct error err = { 0 };
    int r;

    if (!exchange->may_block)
        return HTTP_BLOCKS;
    upload->begun = true;
    http_watch_add(exchange);
    r = exchange->operation->sink->begin(exchange, exchange->server->application.context,
                                         &upload->sink, &err);
    if (r < 0)
        http_answer_failure(exchange, &err);
    else
        assert((upload->sink != NULL) != exchange->answer.given);
    if (upload->sink != NULL && exchange->complete)
        http_upload_finish(exchange);
    return 0;
}

static int advance_admission(struct http_exchange *exchange)
{
    const struct http_application *application = &exchange->server->application;
    struct error err = { 0 };
    int r = 0;

    if (application->admit != NULL)
        r = application->admit(exchange, application->context, &err);
    if (r == HTTP_BLOCKS)
        return r;
    exchange->admitted = true;
    if (r < 0)
        http_answer_failure(exchange, &err);
    else if (!exchange->answer.given)
        judge_body(exchange);
    return 0;
}

/* As far as the request that is here allows. HTTP_BLOCKS: on a worker, please. */
static int advance(struct http_exchange *exchange)
{
    const struct http_operation *operation = exchange->operation;
    struct error err = { 0 };
    int r = 0;

    if (!exchange->admitted)
        r = advance_admission(exchange);
    if (r != 0 || exchange->answer.given)
        return r;
    if (operation->body == HTTP_BODY_STREAM)
        return exchange->upload.begun ? 0 : advance_sink(exchange);
    if (!exchange->complete)
        return 0;
    if (operation->place == HTTP_ON_WORKER && !exchange->may_block)
        return HTTP_BLOCKS;
    r = operation->handle(exchange, exchange->server->application.context, &err);
    if (r == HTTP_BLOCKS && !exchange->may_block)
        return r;
    if (r < 0)
        http_answer_failure(exchange, &err);
    else
        assert(exchange->answer.given);
    return 0;
}

static void advance_work(void *context)
{
    struct http_exchange *exchange = context;
    int r;

    exchange->may_block = true;
    r = advance(exchange);
    assert(r == 0);
    exchange->may_block = false;
    http_server_resume(exchange->server, exchange->connection);
}

/* Gives the exchange to a worker; the loop's next call is `next`. false: close the connection. */
static bool hand_over(struct http_exchange *exchange, enum http_phase next)
{
    struct http_server *server = exchange->server;

    if (workers_waiting(server->options.workers) >= server->options.waiting_max) {
        refuse(exchange, "not-ready", NULL);
        return true;
    }
    if (!http_server_suspend(server, exchange->connection))
        return false;
    exchange->phase = next;
    if (workers_try(server->options.workers, advance_work, exchange) < 0) {
        refuse(exchange, "not-ready", NULL);
        http_server_resume(server, exchange->connection);
    }
    return true;
}

static enum MHD_Result send_answer(struct http_exchange *exchange)
{
    struct http_pending_answer *answer = &exchange->answer;
    enum MHD_Result result;

    if (answer->response == NULL)
        return MHD_NO;
    if (exchange->server->stopping)
        MHD_add_response_header(answer->response, "Connection", "close");
    result = MHD_queue_response(exchange->connection, answer->status, answer->response);
    MHD_destroy_response(answer->response);
    answer->response = NULL;
    exchange->phase = HTTP_PHASE_SENT;
    return result;
}

/* The answer is known before the body: small bodies are read and dropped, so that the
 * connection lives on; others are refused by closing it after the answer. */
static enum MHD_Result go_on(struct http_exchange *exchange)
{
    exchange->phase = HTTP_PHASE_BODY;
    if (!exchange->answer.given || !exchange->has_body)
        return MHD_YES;
    exchange->drop_body = true;
    if (exchange->expects_continue || !exchange->has_length || exchange->body_size > HTTP_DRAIN_MAX)
        return send_answer(exchange);
    return MHD_YES;
}

struct header_count {
    const char *name;
    unsigned count;
};

static enum MHD_Result count_header(void *context, enum MHD_ValueKind kind, const char *name,
                                    const char *value)
{
    struct header_count *counted = context;

    if (strcasecmp(name, counted->name) == 0)
        counted->count++;
    return MHD_YES;
}

static unsigned header_count(const struct http_exchange *exchange, const char *name)
{
    struct header_count counted = { name, 0 };

    MHD_get_connection_values(exchange->connection, MHD_HEADER_KIND, count_header, &counted);
    return counted.count;
}

/* RFC 9110, 5.6.2: what a name is made of. The library takes "Content-Length " for a name of its
 * own, where another parser sees the length of the body. */
static bool is_token(const char *name)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";

    for (const char *at = name; *at != '\0'; at++)
        if (!((*at >= '0' && *at <= '9') || (*at >= 'A' && *at <= 'Z') ||
              (*at >= 'a' && *at <= 'z') || strchr(marks, *at) != NULL))
            return false;
    return *name != '\0';
}

static enum MHD_Result check_name(void *context, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    bool *all_tokens = context;

    if (!is_token(name))
        *all_tokens = false;
    return MHD_YES;
}

static bool names_are_tokens(const struct http_exchange *exchange)
{
    bool all_tokens = true;

    MHD_get_connection_values(exchange->connection, MHD_HEADER_KIND, check_name, &all_tokens);
    return all_tokens;
}

/* Whatever two parsers could read in two ways is refused: it is how requests are smuggled. */
static const char *framing_fault(const struct http_exchange *exchange)
{
    const char *coding = http_exchange_header(exchange, "Transfer-Encoding");
    const unsigned lengths = header_count(exchange, "Content-Length");

    if (!names_are_tokens(exchange))
        return "a header whose name is none";
    if (lengths > 1)
        return "more than one Content-Length";
    if (coding == NULL)
        return lengths == 1 && !exchange->has_length ? "Content-Length is not a number" : NULL;
    if (lengths > 0)
        return "both Content-Length and Transfer-Encoding";
    if (strcasecmp(coding, "chunked") != 0 || header_count(exchange, "Transfer-Encoding") > 1)
        return "a Transfer-Encoding other than chunked";
    return NULL;
}

static bool headers_too_large(const struct http_exchange *exchange)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);

    return info != NULL && info->header_size > exchange->server->options.header_max;
}

static void match(struct http_exchange *exchange)
{
    const struct http_application *application = &exchange->server->application;
    const char *fault = framing_fault(exchange);
    struct error err = { 0 };

    if (fault != NULL) {
        exchange->has_body = true;
        exchange->has_length = false;
        refuse(exchange, "bad-request", fault);
    } else if (headers_too_large(exchange)) {
        refuse(exchange, "headers-too-large", NULL);
    } else if (exchange->url_failure < 0) {
        err = exchange->failure;
        exchange->failure = (struct error){ 0 };
        refuse(exchange, "bad-request", err.text);
    } else if (application->match(exchange, application->context, &exchange->operation, &err) < 0) {
        http_answer_failure(exchange, &err);
    } else {
        assert((exchange->operation != NULL) != exchange->answer.given);
    }
}

static enum MHD_Result headers_came(struct http_exchange *exchange)
{
    match(exchange);
    if (exchange->answer.given || !exchange->has_body)
        return go_on(exchange);
    if (advance(exchange) == HTTP_BLOCKS) {
        if (!hand_over(exchange, HTTP_PHASE_JUDGED))
            return MHD_NO;
        if (exchange->phase == HTTP_PHASE_JUDGED)
            return MHD_YES;
    }
    return go_on(exchange);
}

/* More than was allowed came, without a length that told: too late to answer before the end. */
static bool overflow(struct http_exchange *exchange, size_t size)
{
    const uint64_t max = exchange->body.maximum;
    struct error err = { 0 };

    exchange->received_size += size;
    if (exchange->received_size <= max || exchange->has_length)
        return true;
    if (exchange->received_size - max > HTTP_EXCESS_MAX)
        return false;
    error_set(&err, -EFBIG, "the body is larger than this operation takes");
    if (exchange->upload.sink != NULL) {
        http_upload_refuse(exchange, &err);
    } else if (!exchange->answer.given) {
        buf_release(&exchange->body);
        refuse(exchange, "too-large", err.text);
        exchange->drop_body = true;
    }
    return true;
}

/* The library reads on only after a new event of the socket, and misses an end that came together
 * with the last bytes: it would wait out the idle time, and the body's owner with it. */
static bool peer_is_gone(const struct http_exchange *exchange)
{
    const union MHD_ConnectionInfo *info;
    char byte;

    if (!exchange->has_length || exchange->received_size >= exchange->body_size ||
        exchange->server->secure)
        return false;
    info = MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info != NULL && recv(info->connect_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static enum MHD_Result body_came(struct http_exchange *exchange, const char *bytes, size_t *size)
{
    const size_t offered = *size;
    struct error err = { 0 };

    if (exchange->upload.sink != NULL) {
        bool open = http_upload_take(exchange, bytes, size) && overflow(exchange, offered - *size);

        return open && (*size > 0 || !peer_is_gone(exchange)) ? MHD_YES : MHD_NO;
    }
    *size = 0;
    if (!overflow(exchange, offered) || peer_is_gone(exchange))
        return MHD_NO;
    if (exchange->drop_body)
        return MHD_YES;
    buf_add(&exchange->body, bytes, offered);
    if (buf_check(&exchange->body, &err) < 0) {
        http_answer_failure(exchange, &err);
        exchange->drop_body = true;
    }
    return MHD_YES;
}

static enum MHD_Result all_came(struct http_exchange *exchange)
{
    exchange->complete = true;
    if (exchange->answer.given)
        return send_answer(exchange);
    if (exchange->upload.sink != NULL) {
        exchange->phase = HTTP_PHASE_HANDLED;
        return http_upload_complete(exchange) ? MHD_YES : MHD_NO;
    }
    if (advance(exchange) == HTTP_BLOCKS) {
        if (!hand_over(exchange, HTTP_PHASE_HANDLED))
            return MHD_NO;
        if (exchange->phase == HTTP_PHASE_HANDLED)
            return MHD_YES;
    }
    return send_answer(exchange);
}

enum MHD_Result http_flow_call(struct http_exchange *exchange, struct MHD_Connection *connection,
                               const char *method, const char *bytes, size_t *size)
{
    switch (exchange->phase) {
    case HTTP_PHASE_NEW:
        http_exchange_read_headers(exchange, connection, method);
        if (exchange->server->options.metrics != NULL)
            http_metrics_begin(exchange->server->options.metrics);
        return headers_came(exchange);
    case HTTP_PHASE_JUDGED:
        return go_on(exchange);
    case HTTP_PHASE_BODY:
        return *size > 0 ? body_came(exchange, bytes, size) : all_came(exchange);
    case HTTP_PHASE_HANDLED:
        return send_answer(exchange);
    case HTTP_PHASE_SENT:
        break;
    }
    return MHD_NO;
}

void http_flow_end(struct http_exchange *exchange)
{
    const uint64_t duration_ns = clock_monotonic_ns() - exchange->started_ns;
    const bool sent = exchange->phase == HTTP_PHASE_SENT;
    const struct http_measure measure = {
        .route = exchange->operation != NULL ? exchange->operation->label : "none",
        .method = http_method_name(exchange->method),
        .status = sent ? exchange->answer.status : 0,
        .duration_ns = duration_ns,
        .received_bytes = exchange->received_size,
        .sent_bytes = sent ? exchange->sent_size : 0,
    };

    http_watch_remove(exchange);
    if (exchange->connection != NULL) {
        access_log_write(exchange, duration_ns);
        if (exchange->server->options.metrics != NULL)
            http_metrics_end(exchange->server->options.metrics, &measure);
    }
    if (!http_upload_over(exchange))
        http_exchange_free(exchange);
}
