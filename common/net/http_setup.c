/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/net/http_private.h"
#include "common/net/url.h"

#define HEADER_LINE_MAX 8192
#define RECEIVE_BUFFER_SIZE (512L * 1024)
#define SEND_BUFFER_SIZE (256L * 1024)
#define RESEND_MAX ((uint64_t)256 << 10)
#define SEND_BUFFER_FROM (1024 * 1024)

const char *http_method_name(enum http_method method)
{
    static const char *const names[] = { "GET", "HEAD", "PUT", "POST", "PATCH", "DELETE" };

    return names[method];
}

/* A line break in a header would make another header of what follows. */
static bool is_header_text(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' && *text != '\t')
            return false;
        if (*text == 0x7f)
            return false;
    }
    return true;
}

static int add_line(struct http_request *request, const char *name, const char *value,
                    struct error *err)
{
    cleanup(buf_release) struct buf line = buf_init(HEADER_LINE_MAX);
    struct curl_slist *lines;
    int r;

    if (!is_header_text(name) || !is_header_text(value))
        return error_set(err, -EINVAL, "a request header holds a control character");
    if (value[0] == '\0')
        buf_format(&line, "%s;", name); /* libcurl's way to send it empty */
    else
        buf_format(&line, "%s: %s", name, value);
    r = buf_check(&line, err);
    if (r < 0)
        return r;
    lines = curl_slist_append(request->lines, buf_text(&line));
    memory_wipe(line.bytes, line.size); /* it may have been the token's */
    if (lines == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    request->lines = lines;
    return 0;
}

/* libcurl adds these by itself; a name with nothing behind the colon takes them away. */
static int drop_line(struct http_request *request, const char *name, struct error *err)
{
    struct curl_slist *lines = curl_slist_append(request->lines, name);

    if (lines == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    request->lines = lines;
    return 0;
}

static int set_bearer(struct http_request *request, const struct http_request_spec *spec,
                      const struct url_base *origin, struct error *err)
{
    cleanup(buf_release) struct buf value = buf_init(1024);
    int r;

    if (spec->bearer == NULL)
        return 0;
    if (!origin->tls && !origin->loopback && !spec->insecure)
        return error_set(err, -EACCES,
                         "the token is not sent to %s over plain HTTP (use https, or say insecure)",
                         origin->host);
    buf_format(&value, "Bearer %s", spec->bearer);
    r = buf_check(&value, err);
    if (r == 0)
        r = add_line(request, "Authorization", buf_text(&value), err);
    if (value.bytes != NULL)
        memory_wipe(value.bytes, value.size);
    return r;
}

static int set_headers(struct http_request *request, const struct http_request_spec *spec,
                       const struct url_base *origin, struct error *err)
{
    int r;

    for (size_t i = 0; i < spec->header_count; i++) {
        r = add_line(request, spec->headers[i].name, spec->headers[i].value, err);
        if (r < 0)
            return r;
    }
    r = drop_line(request, "Expect:", err);
    if (r == 0)
        r = set_bearer(request, spec, origin, err);
    return r;
}

static size_t give_body(char *out, size_t size, size_t count, void *context);

/* libcurl sends a request once more, by itself, when a connection that it had kept turns out to be
 * dead. After more than such a connection can swallow it was alive: then the receiver may have
 * what came, and whoever sent it decides how to go on. */
static int seek_body(void *context, curl_off_t offset, int origin)
{
    struct http_request *request = context;

    if (request->body_at > RESEND_MAX && offset == 0)
        return CURL_SEEKFUNC_FAIL;
    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > request->spec.body.size)
        return CURL_SEEKFUNC_CANTSEEK;
    request->body_at = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

static void set_body(struct http_request *request)
{
    CURL *easy = request->easy;
    const struct http_body *body = &request->spec.body;
    enum http_method method = request->spec.method;

    if (body->kind != HTTP_BODY_NONE) {
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, http_method_name(method));
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)body->size);
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_body);
        curl_easy_setopt(easy, CURLOPT_READDATA, request);
        curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, seek_body);
        curl_easy_setopt(easy, CURLOPT_SEEKDATA, request);
        if (body->size >= SEND_BUFFER_FROM)
            curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, SEND_BUFFER_SIZE);
        return;
    }
    switch (method) {
    case HTTP_GET:
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
        break;
    case HTTP_HEAD:
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        break;
    case HTTP_DELETE:
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "DELETE");
        break;
    case HTTP_PUT:
    case HTTP_POST:
    case HTTP_PATCH:
        /* An empty body has a length too. */
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, 0L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "");
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, http_method_name(method));
        break;
    }
}

static size_t give_body(char *out, size_t size, size_t count, void *context)
{
    struct http_request *request = context;
    const struct http_body *body = &request->spec.body;
    size_t room = size * count, given = 0;
    uint64_t left = body->size - request->body_at;
    int r = 0;

    if (request->is_over)
        return CURL_READFUNC_ABORT;
    if (room > left)
        room = (size_t)left;
    if (room == 0)
        return 0;
    if (room > rate_step(&request->loop->rate))
        room = rate_step(&request->loop->rate);
    if (!http_throttle_pass(request, room))
        return CURL_READFUNC_PAUSE;
    switch (body->kind) {
    case HTTP_BODY_SPAN:
        memcpy(out, body->span.bytes + request->body_at, room);
        given = room;
        break;
    case HTTP_BODY_FILE:
        r = file_read_at(body->fd, body->offset + request->body_at, out, room, &given,
                         &request->stopped_err);
        break;
    case HTTP_BODY_PULL:
        r = body->pull(body->pull_context, request->body_at, out, room, &given,
                       &request->stopped_err);
        break;
    case HTTP_BODY_NONE:
        break;
    }
    if (r == 0 && given == 0)
        r = error_set(&request->stopped_err, -EIO, "the body to be sent ended early");
    if (r < 0) {
        request->stopped = r;
        return CURL_READFUNC_ABORT;
    }
    request->body_at += given;
    if (request->body_at == body->size && request->spec.on_sent != NULL) {
        request->is_taken = true;
        http_request_change(request);
    }
    return given;
}

static void set_limits(struct http_request *request)
{
    const struct http_request_spec *spec = &request->spec;
    CURL *easy = request->easy;
    size_t step;

    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(spec->connect_ms > 0 ? spec->connect_ms : 10000));
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT,
                     (long)(spec->stall_bytes > 0 ? spec->stall_bytes : 1));
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)(spec->stall_s > 0 ? spec->stall_s : 30));
    step = rate_step(&request->loop->rate);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE,
                     step < RECEIVE_BUFFER_SIZE ? (long)step : RECEIVE_BUFFER_SIZE);
}

static void set_connection(struct http_request *request, const struct http_request_spec *spec)
{
    CURL *easy = request->easy;

    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
    /* Else who gives up on a name waits for its resolver, and the whole loop with him. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, spec->new_connection ? 1L : 0L);
}

int http_setup(struct http_request *request, const struct http_request_spec *spec,
               struct error *err)
{
    CURL *easy = request->easy;
    struct url_base origin;
    CURLcode code;
    int r;

    r = url_origin_parse(spec->url, &origin, err);
    if (r < 0)
        return r;
    r = set_headers(request, spec, &origin, err);
    if (r < 0)
        return r;
    (void)snprintf(request->origin, sizeof(request->origin), "%.255s:%u", origin.host, origin.port);
    set_connection(request, spec);
    set_limits(request);
    set_body(request);
    code = curl_easy_setopt(easy, CURLOPT_URL, spec->url);
    if (code == CURLE_OK)
        code = curl_easy_setopt(easy, CURLOPT_HTTPHEADER, request->lines);
    if (code == CURLE_OK && spec->user_agent != NULL)
        code = curl_easy_setopt(easy, CURLOPT_USERAGENT, spec->user_agent);
    if (code == CURLE_OK && spec->ca_file != NULL)
        code = curl_easy_setopt(easy, CURLOPT_CAINFO, spec->ca_file);
    if (code == CURLE_OUT_OF_MEMORY)
        return error_set(err, -ENOMEM, "out of memory");
    if (code != CURLE_OK)
        return error_set(err, -EINVAL, "request: %s", curl_easy_strerror(code));
    curl_easy_setopt(easy, CURLOPT_PRIVATE, request);
    return 0;
}
