/* SPDX-License-Identifier: MIT */
#pragma once

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/workers.h"
#include "server/http/http_answer.h"
#include "server/http/http_exchange.h"
#include "server/http/http_feed.h"
#include "server/http/http_metrics.h"
#include "server/http/http_server.h"
#include "server/http/http_watch.h"
#include "server/http/url.h"

/*
 * http_state - the inside of an exchange and of the server, for the files of this
 * folder only.
 *
 * Threads: a connection is suspended whenever a worker has its exchange, with one
 * exception: while a sink takes one buffer of a body, the loop fills the other.
 * Only what struct http_upload guards by its lock is touched by both then.
 */

#define HTTP_REQUEST_ID_MAX 64
#define HTTP_ACTOR_MAX 63
#define HTTP_HEADERS_MAX 16
#define HTTP_PIECE_SIZE ((size_t)256 << 10)   /* of bodies, to sinks and from sources */
#define HTTP_WATCH_SIZE ((uint64_t)256 << 10) /* of an answer that may last */
#define HTTP_DRAIN_MAX ((uint64_t)16 << 20)   /* a refused body up to here is read and dropped */
#define HTTP_EXCESS_MAX \
    ((uint64_t)1 << 20) /* so much beyond a limit, before the connection is cut */

/* Where the loop's next call for this request belongs. */
enum http_phase {
    HTTP_PHASE_NEW,     /* headers not seen yet */
    HTTP_PHASE_JUDGED,  /* a worker judged the headers: go on to the body, or refuse */
    HTTP_PHASE_BODY,    /* body bytes or their end */
    HTTP_PHASE_HANDLED, /* the whole request was worked on: there is an answer */
    HTTP_PHASE_SENT,    /* the answer is the library's */
};

struct http_header {
    char *name, *value;
};

struct http_pending_answer {
    bool given;
    unsigned status;
    struct MHD_Response *response;
    struct http_header headers[HTTP_HEADERS_MAX];
    size_t header_count;
};

/* A body on its way into a sink. */
struct http_upload {
    pthread_mutex_t lock; /* before the server's and the library's */
    void *sink;
    bool begun;    /* begin() was called */
    bool ended;    /* end() or abort() was called */
    bool working;  /* a worker has `taken`, or runs end */
    bool waiting;  /* the loop suspended the connection until the worker is done */
    bool complete; /* all bytes came: after the last piece comes end() */
    bool failed;   /* `failure` tells: the rest is dropped */
    struct error failure;
    bool gone; /* the request is over: the worker cleans up */
    struct buf filling, taken;
};

struct http_exchange {
    struct http_server *server;
    struct MHD_Connection *connection; /* NULL once the request is over */
    const struct http_operation *operation;
    enum http_phase phase;
    enum http_method method;
    struct url url;
    char *target; /* as sent, for the log */
    int url_failure;
    char request_id[HTTP_REQUEST_ID_MAX + 1];
    char actor[HTTP_ACTOR_MAX + 1];
    char peer[64];

    bool has_body, has_length, expects_continue;
    uint64_t body_size;     /* declared */
    uint64_t received_size; /* so far */
    bool complete;          /* the whole request is here */
    bool admitted;
    bool may_block;
    bool drop_body;

    struct buf body; /* HTTP_BODY_JSON */
    struct http_upload upload;
    struct http_pending_answer answer;
    struct http_content_plan {
        bool begun;
        unsigned status;
        char media_type[64];
        uint64_t size;
    } content;
    uint64_t sent_size;
    uint64_t started_ns;
    struct error failure; /* behind a 5xx: for the log */

    struct http_exchange *watch_previous, *watch_next; /* http_watch.h; under the server's lock */
    int watch_fd;
    bool watched; /* of whoever has the exchange */

    void *state;
    void (*state_release)(void *state);
};

struct http_server {
    struct MHD_Daemon *daemon;
    int listen_fd; /* the library's, which closes it */
    int never_fd;  /* takes its number in the end */
    struct http_application application;
    struct http_options options;
    char **trusted_proxies;
    size_t trusted_proxy_count;
    uint16_t port;
    _Atomic bool secure;
    uint64_t id_key[2];
    _Atomic uint64_t id_next;

    pthread_mutex_t lock;
    pthread_cond_t quiet;
    size_t exchange_count;
    size_t suspended_count;
    size_t stream_count;
    struct http_watch watch;
    struct http_feeds feeds;
    _Atomic bool stopping; /* answers say Connection: close */
    bool cutting;          /* nothing may be suspended any more */
};

/* http_exchange.c */
struct http_exchange *http_exchange_new(struct http_server *server, const char *target);
void http_exchange_free(struct http_exchange *exchange);
/* Reads method, framing headers, request id and peer. Called once, when the headers are there. */
void http_exchange_read_headers(struct http_exchange *exchange, struct MHD_Connection *connection,
                                const char *method);

/* http_answer.c: gives the answer its headers and leaves it for the loop; takes the response. */
int http_answer_response(struct http_exchange *exchange, unsigned status,
                         struct MHD_Response *response, struct error *err);
/* Forgets an answer that was not sent. */
void http_answer_forget(struct http_exchange *exchange);
/* Answers a failure by the application's fail(), else by its code; a bare 500 when memory is
 * out. */
void http_answer_failure(struct http_exchange *exchange, const struct error *failure);

/* http_server.c: suspends, unless the server is being cut (false: close the connection). */
bool http_server_suspend(struct http_server *server, struct MHD_Connection *connection);
void http_server_resume(struct http_server *server, struct MHD_Connection *connection);
void http_server_stream_begin(struct http_server *server);
void http_server_stream_end(struct http_server *server);

/* http_flow.c: the library's access handler, and its end of a request. */
enum MHD_Result http_flow_call(struct http_exchange *exchange, struct MHD_Connection *connection,
                               const char *method, const char *bytes, size_t *size);
void http_flow_end(struct http_exchange *exchange);

/* http_upload.c */
int http_upload_init(struct http_upload *upload);
void http_upload_release(struct http_upload *upload);
/* The loop's side. Takes as much of the bytes as fits and suspends when something is left.
 * false: the connection is to be closed. */
bool http_upload_take(struct http_exchange *exchange, const void *bytes, size_t *size);
/* All bytes came: suspends until end() has answered. */
bool http_upload_complete(struct http_exchange *exchange);
/* The loop's side: nothing more of the body is wanted; the failure is answered at its end. */
void http_upload_refuse(struct http_exchange *exchange, const struct error *failure);
/* On a worker: after the last piece, end() (or abort()), and the answer. */
void http_upload_finish(struct http_exchange *exchange);
/* The request is over. True: the exchange now belongs to a worker, which will free it. */
bool http_upload_over(struct http_exchange *exchange);

/* http_stream.c: an answer that pulls from a source. size: MHD_SIZE_UNKNOWN for a chunked one. */
int http_stream_response(struct http_exchange *exchange, uint64_t size,
                         const struct http_source *source, struct MHD_Response **out,
                         struct error *err);

/* access_log.c */
void access_log_write(const struct http_exchange *exchange, uint64_t duration_ns);
