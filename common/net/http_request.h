/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/span.h"

struct http_loop;
struct http_request;

/*
 * http_request - one HTTP/1.1 request on a loop.
 *
 * Described by a struct http_request_spec, which is copied (except the bodies) by
 * http_request_start. Then, on the loop's thread: on_headers once, on_body any
 * number of times, on_done once and always, also after a failure or a cancel; after on_done the
 * request is gone.
 *
 * Redirects are not followed: a 3xx is an answer like any other. An answer's body arrives as
 * it is on the wire (no content coding is asked for or undone). Interim 1xx answers are swallowed.
 *
 * A bearer token is sent only over TLS, to loopback, or with `insecure`: otherwise
 * http_request_start refuses (-EACCES) before anything is sent. It goes to the host of
 * `url` and nowhere else. No text of an error holds a header or a query.
 *
 * What on_done gets (result 0 means a whole answer of any status):
 *   -EAGAIN     not reached: name, connection refused, reset before an answer
 *   -ETIMEDOUT  connect_ms, first_ms, total_ms or the stall limit passed
 *   -EIO        broken off in the middle: short body, reset, not HTTP
 *   -EPROTO     the TLS certificate is not trusted, or not for that host, or out of its time
 *   -EFBIG      body or headers larger than allowed
 *   -ECANCELED  http_request_cancel
 *   -ENOMEM     out of memory
 *   another     what a body source, on_headers or on_body returned
 */
enum http_method { HTTP_GET, HTTP_HEAD, HTTP_PUT, HTTP_POST, HTTP_PATCH, HTTP_DELETE };

struct http_header {
    const char *name;
    const char *value;
};

/* The answer's headers. The items are valid until on_done returned. */
struct http_headers {
    const struct http_header *items;
    size_t count;
};
/* The first value of that name in any case, or NULL. */
const char *http_headers_get(const struct http_headers *headers, const char *name);
/* Of several values of that name the index-th, NULL behind the last. */
const char *http_headers_list(const struct http_headers *headers, const char *name, size_t index);

enum http_body_kind { HTTP_BODY_NONE, HTTP_BODY_SPAN, HTTP_BODY_FILE, HTTP_BODY_PULL };

/* Fills up to `size` bytes; 0 bytes before the body's size is reached is -EIO. May be called from
 * the start again (offset 0) when a kept connection turned out to be closed. */
typedef int http_body_pull(void *context, uint64_t offset, void *out, size_t size, size_t *out_size,
                           struct error *err);

struct http_body {
    enum http_body_kind kind;
    uint64_t size;    /* of all kinds: it becomes Content-Length */
    struct span span; /* SPAN: must live until on_done */
    int fd;           /* FILE: the caller's, must stay open; [offset, offset + size) is sent */
    uint64_t offset;
    http_body_pull *pull; /* PULL */
    void *pull_context;
};

struct http_result {
    int code;      /* 0, or as above */
    int status;    /* of the answer, 0 when there was none */
    uint64_t sent; /* body bytes */
    uint64_t received;
    struct error err; /* filled when code != 0 */
};

/* status and headers are complete; a body may follow. Non-zero ends the request with that code. */
typedef int http_on_headers(void *context, int status, const struct http_headers *headers,
                            struct error *err);
/* Non-zero ends the request with that code, except HTTP_PAUSE: the same bytes come again after
 * http_request_resume. */
typedef int http_on_body(void *context, struct span bytes, struct error *err);
#define HTTP_PAUSE 1
/* The last byte of the body has been taken from its source: most of it is on the line or beyond,
 * and the answer may come. Not for a body of no bytes, and not when it failed before. At most
 * once, before on_done. */
typedef void http_on_sent(void *context);
typedef void http_on_done(void *context, const struct http_result *result);

struct http_request_spec {
    enum http_method method;
    const char *url;
    const struct http_header *headers; /* Host, Content-Length and Authorization are made here */
    size_t header_count;
    const char *bearer;  /* token, or NULL */
    bool insecure;       /* the token may go over plain HTTP to any host */
    const char *ca_file; /* PEM roots instead of the system's, or NULL */
    const char *user_agent;

    struct http_body body;

    uint64_t connect_ms; /* a name to be resolved included. 0: 10,000 */
    /* 0: no limit; counts from the start, waiting for a connection included */
    uint64_t total_ms;
    uint64_t first_ms;     /* until the answer's headers are there. 0: no limit of its own */
    uint32_t stall_bytes;  /* fewer a second during stall_s seconds is a stall. 0: 1 */
    uint32_t stall_s;      /* 0: 30 */
    uint64_t body_maximum; /* of the answer. 0: no limit */
    bool new_connection;   /* do not use a kept one */

    http_on_headers *on_headers; /* may be NULL */
    http_on_body *on_body;       /* may be NULL: the body is dropped */
    http_on_sent *on_sent;       /* may be NULL */
    http_on_done *on_done;
    void *context;
};

/* Starts; callbacks come from later turns of the loop, never from inside. After a failure none
 * comes. *out_request may be NULL when it will never be cancelled. Loop thread only, like all
 * below. */
int http_request_start(struct http_loop *loop, const struct http_request_spec *spec,
                       struct http_request **out_request, struct error *err);

/* Ends it: on_done comes with -ECANCELED before this returns. Also from inside a callback of
 * another request; from inside its own return -ECANCELED there instead. */
void http_request_cancel(struct http_request *request);
/* Bytes of the body that were given to the network so far. */
uint64_t http_request_sent(const struct http_request *request);

/* Whether a connection has taken it: else it waits for one, or for a server to be reached. */
bool http_request_is_sent(const struct http_request *request);

/* Lets a request go on whose on_body said HTTP_PAUSE. Not from inside its own on_body. */
void http_request_resume(struct http_request *request);

/* "GET", ... */
const char *http_method_name(enum http_method method);
