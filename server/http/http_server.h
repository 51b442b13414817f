/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/http/http_exchange.h"

struct error;
struct http_metrics;
struct workers;

/*
 * http_server - HTTP/1.1 (and TLS) on a few event loops that never block.
 *
 * For each request, in this order:
 *   1. match()   on a loop: which operation is it? Or it answers (404, 405).
 *   2. admit()   on a loop; again on a worker when it returned HTTP_BLOCKS: may it?
 *   3. the declared body is judged: 411, 413, 415; then `100 Continue` if asked for.
 *      A request refused up to here never has its body read into memory.
 *   4. handle()  or, for HTTP_BODY_STREAM, begin, data ..., end of its sink.
 *   5. release of the exchange's state, the access log's line, the counters.
 * 1, 2 and 4 answer with http_answer.h, or return a negative errno and *err: then the
 * server answers the problem of that code.
 *
 * Work goes to a bounded pool; when more requests wait than `waiting_max`, new
 * ones are answered 503 with Retry-After. A request that is being worked on may
 * always go on.
 */

enum http_body {
    HTTP_BODY_NONE,   /* a body that comes all the same is thrown away */
    HTTP_BODY_JSON,   /* application/json, whole in memory; may be empty */
    HTTP_BODY_STREAM, /* to a sink, piece by piece */
};

enum http_place {
    HTTP_ON_LOOP, /* tried on the loop first; HTTP_BLOCKS sends it to a worker */
    HTTP_ON_WORKER,
};

/*
 * sink - takes a body. All calls on a worker, one at a time, in order:
 *   begin  before any byte: judge headers; set *out_sink. It may also answer, and leave *out_sink
 *   NULL.
 *   data   pieces up to 256 KiB. A failure ends the body: the rest is dropped, abort is called.
 *   end    all declared bytes came: answers.
 *   abort  instead of end, exactly once: client gone, deadline, failure of data. Does not answer.
 * After end or abort the sink is not used again.
 */
struct http_sink {
    int (*begin)(struct http_exchange *exchange, void *context, void **out_sink, struct error *err);
    int (*data)(void *sink, struct span bytes, struct error *err);
    int (*end)(void *sink, struct http_exchange *exchange, struct error *err);
    void (*abort)(void *sink);
};

struct http_operation {
    const char *label; /* the route's pattern, for log and counters; lives as long as the server */
    enum http_place place;
    enum http_body body;
    uint64_t body_max;            /* bytes */
    bool length_required;         /* 411 without Content-Length */
    const struct http_sink *sink; /* HTTP_BODY_STREAM only */
    int (*handle)(struct http_exchange *exchange, void *context,
                  struct error *err); /* the others */
};

struct http_application {
    void *context;
    int (*match)(struct http_exchange *exchange, void *context,
                 const struct http_operation **out_operation, struct error *err);
    int (*admit)(struct http_exchange *exchange, void *context, struct error *err);
    /* Answers what one of the above, an operation or a sink returned as a failure; NULL, or an
     * exchange left unanswered: http_answer_error(). */
    void (*fail)(struct http_exchange *exchange, void *context, const struct error *failure);
    /* May whoever http_exchange_set_actor() named go on? Asked about twice a second while a body
     * of theirs is on its way in or out; false resets those connections. May block. On a thread of
     * its own, beside the others; NULL: nobody is asked. */
    bool (*alive)(const char *actor, void *context);
};

struct http_options {
    const char *address; /* numeric, IPv4 or IPv6 (without brackets) */
    uint16_t port;       /* 0: a free one */
    unsigned loop_count; /* 0: one a processor, at most 4 */
    unsigned connection_max;
    unsigned connection_per_address_max; /* 0: no limit */
    unsigned idle_timeout_s;             /* nothing sent or received for so long: closed */
    size_t header_max;                   /* request line and headers, bytes */
    size_t waiting_max;                  /* requests waiting for a worker */
    const char *tls_certificate;         /* PEM texts, both or none */
    const char *tls_key;
    const char *const
        *trusted_proxies;         /* addresses whose X-Forwarded-For counts; NULL-ended, or NULL */
    struct workers *workers;      /* queue limit >= connection_max; outlives the server */
    struct http_metrics *metrics; /* outlives the server; may be NULL */
};

struct http_server;

/* Listens and serves. Errors: -EADDRINUSE and others with a text that names address and port. */
int http_server_start(const struct http_options *options,
                      const struct http_application *application, struct http_server **out_server,
                      struct error *err);

uint16_t http_server_port(const struct http_server *server);

/* Stops accepting, lets what is in flight end for up to `grace_ms`, closes what is left and
 * releases the server. Work on a worker is always waited for. NULL is fine; returns NULL. */
struct http_server *http_server_stop(struct http_server *server, uint64_t grace_ms);
