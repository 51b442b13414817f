/* SPDX-License-Identifier: MIT */
#include "common/net/http_request.h"

#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/net/http_private.h"

static void request_link(struct http_request *request)
{
    struct http_loop *loop = request->loop;

    request->next = loop->requests;
    if (request->next != NULL)
        request->next->previous = request;
    loop->requests = request;
}

static void request_unlink(struct http_request *request)
{
    struct http_loop *loop = request->loop;

    if (request->next != NULL)
        request->next->previous = request->previous;
    if (request->previous != NULL)
        request->previous->next = request->next;
    else if (loop->requests == request)
        loop->requests = request->next;
    request->next = request->previous = NULL;
}

static void request_free(struct http_request *request)
{
    struct curl_slist *line = request->lines;

    if (request->is_added)
        curl_multi_remove_handle(request->loop->multi, request->easy);
    http_loop_give_handle(request->loop, request->easy);
    for (; line != NULL; line = line->next)
        memory_wipe(line->data, strlen(line->data));
    curl_slist_free_all(request->lines);
    http_header_list_release(&request->headers);
    memory_free(request);
}

/* Says what came of it; the struct stays until libcurl lets go of it. */
static void request_tell(struct http_request *request, struct http_result *result)
{
    request->is_over = true;
    request_unlink(request);
    http_throttle_forget(request);
    http_timer_clear(request->loop, &request->timer);
    result->sent = request->sent;
    result->received = request->received;
    request->spec.on_done(request->spec.context, result);
}

void http_request_change(struct http_request *request)
{
    if (request->is_changed)
        return;
    request->is_changed = true;
    request->next_changed = request->loop->changed;
    request->loop->changed = request;
}

/* libcurl hands over what it held back, from inside this call. */
static void resume_now(struct http_request *request)
{
    CURLcode code;

    request->wants_resume = false;
    request->loop->performing = true;
    code = curl_easy_pause(request->easy, CURLPAUSE_CONT);
    request->loop->performing = false;
    if (code != CURLE_OK)
        http_request_finish(request, code);
}

/* It may cancel the request: the flag keeps that from freeing it here. */
static void tell_sent(struct http_request *request)
{
    http_on_sent *on_sent = request->spec.on_sent;

    request->is_taken = false;
    request->spec.on_sent = NULL;
    request->is_changed = true;
    on_sent(request->spec.context);
    request->is_changed = false;
}

void http_request_apply(struct http_request *request)
{
    if (request->is_over) {
        request_free(request);
        return;
    }
    if (!request->is_added) {
        CURLMcode code = curl_multi_add_handle(request->loop->multi, request->easy);

        if (code != CURLM_OK) {
            struct http_result result = { 0 };

            result.code = error_set(&result.err, -ENOMEM, "%s", curl_multi_strerror(code));
            request_tell(request, &result);
            request_free(request);
            return;
        }
        request->is_added = true;
    }
    if (request->is_taken)
        tell_sent(request);
    if (request->is_over)
        request_free(request);
    else if (request->wants_resume)
        resume_now(request);
}

/* Callbacks from libcurl -------------------------------------------------- */

static size_t stop(struct http_request *request, int code)
{
    request->stopped = code;
    return 0;
}

static int give_headers(struct http_request *request)
{
    struct http_headers view;
    int r;

    request->headers_given = true;
    if (request->spec.first_ms > 0) {
        http_timer_clear(request->loop, &request->timer);
        if (request->total_due_ms > 0)
            http_timer_set(request->loop, &request->timer, request->total_due_ms);
    }
    if (request->spec.on_headers == NULL)
        return 0;
    r = http_header_list_view(&request->headers, &view, &request->stopped_err);
    if (r == 0)
        r = request->spec.on_headers(request->spec.context, request->headers.status, &view,
                                     &request->stopped_err);
    return r;
}

static size_t take_header(char *bytes, size_t size, size_t count, void *context)
{
    struct http_request *request = context;
    bool end;
    int r;

    if (request->is_over)
        return 0;
    if (request->headers_given) /* trailers of a chunked body */
        return size * count;
    r = http_header_list_add(&request->headers, span_of(bytes, size * count), &end,
                             &request->stopped_err);
    if (r == 0 && end && request->headers.status >= 200)
        r = give_headers(request);
    if (r != 0)
        return stop(request, r);
    return size * count;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
    struct http_request *request = context;
    size_t total = size * count;
    int r = 0;

    if (request->is_over)
        return 0;
    if (request->spec.body_maximum > 0 && request->received + total > request->spec.body_maximum) {
        return stop(request,
                    error_set(&request->stopped_err, -EFBIG, "the answer is larger than %llu bytes",
                              (unsigned long long)request->spec.body_maximum));
    }
    if (!http_throttle_pass(request, total))
        return CURL_WRITEFUNC_PAUSE;
    if (request->spec.on_body != NULL)
        r = request->spec.on_body(request->spec.context, span_of(bytes, total),
                                  &request->stopped_err);
    if (r == HTTP_PAUSE) {
        rate_give_back(&request->loop->rate, total); /* they come again */
        return CURL_WRITEFUNC_PAUSE;
    }
    if (r != 0)
        return stop(request, r);
    request->received += total;
    atomic_fetch_add(&request->loop->received, total);
    return total;
}

/* first_ms or total_ms */
static void time_out(void *context)
{
    struct http_request *request = context;

    request->timed_out = true;
    http_request_cancel(request);
}

/* ------------------------------------------------------------------------- */

static int result_code(struct http_request *request, CURLcode code, struct error *err)
{
    const char *origin = request->origin;
    bool answered = request->headers.status >= 200;

    switch ((int)code) {
    case CURLE_OUT_OF_MEMORY:
        return error_set(err, -ENOMEM, "out of memory");
    case CURLE_OPERATION_TIMEDOUT:
        return error_set(err, -ETIMEDOUT, "%s: %s", origin,
                         answered ? "the answer stalled" : "no answer in time");
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return error_set(err, -EPROTO, "%s: %s", origin, curl_easy_strerror(code));
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
        return error_set(err, -EAGAIN, "%s: %s", origin, curl_easy_strerror(code));
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_FAIL_REWIND:
        if (!answered)
            return error_set(err, -EAGAIN, "%s: closed without an answer", origin);
        return error_set(err, -EIO, "%s: broken off in the middle", origin);
    case CURLE_PARTIAL_FILE:
        return error_set(err, -EIO, "%s: the answer ended before its length", origin);
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
        return error_set(err, -EIO, "%s: the answer is not HTTP/1.1", origin);
    default:
        return error_set(err, -EIO, "%s: %s", origin, curl_easy_strerror(code));
    }
}

uint64_t http_request_sent(const struct http_request *request)
{
    curl_off_t sent = 0;

    curl_easy_getinfo(request->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    return sent > 0 ? (uint64_t)sent : 0;
}

void http_request_finish(struct http_request *request, CURLcode code)
{
    struct http_result result = { .status = request->headers.status };

    if (request->is_over) /* cancelled in this turn; it is in the changed list */
        return;
    request->sent = http_request_sent(request);
    atomic_fetch_add(&request->loop->sent, request->sent);
    if (request->stopped != 0) {
        result.code = request->stopped;
        result.err = request->stopped_err;
        if (result.err.code == 0)
            error_set(&result.err, result.code, "stopped");
    } else if (code != CURLE_OK) {
        result.code = result_code(request, code, &result.err);
    } else if (!request->headers_given) {
        result.code =
            error_set(&result.err, -EIO, "%s: the answer is not HTTP/1.1", request->origin);
    }
    if (!request->headers_given)
        result.status = 0;
    curl_multi_remove_handle(request->loop->multi, request->easy);
    request->is_added = false;
    request_tell(request, &result);
    if (!request->is_changed)
        request_free(request);
}

bool http_request_is_sent(const struct http_request *request)
{
    curl_off_t begun_us = 0;

    curl_easy_getinfo(request->easy, CURLINFO_PRETRANSFER_TIME_T, &begun_us);
    return begun_us > 0;
}

static int set_timer(struct http_request *request, struct error *err)
{
    const struct http_request_spec *spec = &request->spec;
    uint64_t now_ms = clock_monotonic_ms(), due_ms;

    request->total_due_ms = spec->total_ms > 0 ? now_ms + spec->total_ms : 0;
    due_ms = request->total_due_ms;
    if (spec->first_ms > 0 && (due_ms == 0 || now_ms + spec->first_ms < due_ms))
        due_ms = now_ms + spec->first_ms;
    if (due_ms > 0 && http_timer_set(request->loop, &request->timer, due_ms) < 0)
        return error_set(err, -ENOMEM, "out of memory");
    return 0;
}

int http_request_start(struct http_loop *loop, const struct http_request_spec *spec,
                       struct http_request **out_request, struct error *err)
{
    struct http_request *request = memory_new(sizeof(*request));
    int r;

    if (request == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    request->loop = loop;
    request->spec = *spec;
    request->headers = http_header_list_init();
    request->timer = (struct http_timer){ .function = time_out, .context = request };
    request->easy = http_loop_take_handle(loop);
    if (request->easy == NULL) {
        request_free(request);
        return error_set(err, -ENOMEM, "out of memory");
    }
    r = http_setup(request, spec, err);
    if (r == 0)
        r = set_timer(request, err);
    if (r < 0) {
        http_timer_clear(loop, &request->timer);
        request_free(request);
        return r;
    }
    request->spec.url = NULL; /* copied by libcurl; the caller's may go */
    request->spec.bearer = NULL;
    request->spec.headers = NULL;
    curl_easy_setopt(request->easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(request->easy, CURLOPT_HEADERDATA, request);
    curl_easy_setopt(request->easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(request->easy, CURLOPT_WRITEDATA, request);
    request_link(request);
    atomic_fetch_add(&loop->request_count, 1);
    if (loop->performing) {
        http_request_change(request);
    } else if (curl_multi_add_handle(loop->multi, request->easy) != CURLM_OK) {
        http_timer_clear(loop, &request->timer);
        request_unlink(request);
        request_free(request);
        return error_set(err, -ENOMEM, "out of memory");
    } else {
        request->is_added = true;
    }
    if (out_request != NULL)
        *out_request = request;
    return 0;
}

void http_request_cancel(struct http_request *request)
{
    struct http_result result = { .status = request->headers_given ? request->headers.status : 0 };

    if (request->is_over)
        return;
    request->sent = http_request_sent(request);
    if (request->timed_out)
        result.code =
            error_set(&result.err, -ETIMEDOUT, "%s: no whole answer in time", request->origin);
    else
        result.code = error_set(&result.err, -ECANCELED, "cancelled");
    request_tell(request, &result);
    if (request->loop->performing)
        http_request_change(request);
    else if (!request->is_changed)
        request_free(request);
}

void http_request_resume(struct http_request *request)
{
    if (request->is_over)
        return;
    /* Always in the turn's end: libcurl calls back from inside, and finishing frees the request. */
    request->wants_resume = true;
    http_request_change(request);
    if (!request->loop->performing)
        http_loop_wake(request->loop);
}
