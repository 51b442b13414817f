/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

struct buf;
struct error;
struct url;

/*
 * http_exchange - one request and its one answer.
 *
 * Made by the server when the headers are there, and handed to the application
 * (http_server.h). The request's parts are read here; the answer is given with
 * http_answer.h. An exchange is touched by one thread at a time: a loop, or the
 * worker that runs its handler. Everything that the functions below return lives
 * until the exchange ends.
 */
struct http_exchange;

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_PUT,
    HTTP_POST,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OTHER, /* no route has it */
};

const char *http_method_name(enum http_method method); /* "GET"; "OTHER" */

enum http_method http_exchange_method(const struct http_exchange *exchange);
const struct url *http_exchange_url(const struct http_exchange *exchange);

/* NULL when absent. Names are compared without case. Of several the first. */
const char *http_exchange_header(const struct http_exchange *exchange, const char *name);

/* The query value as text; NULL when the key is absent or its value holds a NUL. */
const char *http_exchange_query(const struct http_exchange *exchange, const char *name);

/* X-Request-Id of the request when it is 1 to 64 of [A-Za-z0-9._-], else one made here. */
const char *http_exchange_request_id(const struct http_exchange *exchange);

/* The peer, as text without port: from X-Forwarded-For when the connection comes from a trusted
 * proxy. */
const char *http_exchange_peer(const struct http_exchange *exchange);

/* Declared by Content-Length; false when there is none (then chunked, or no body). */
bool http_exchange_body_size(const struct http_exchange *exchange, uint64_t *out_size);

/* The whole body of an HTTP_BODY_JSON operation (may be empty); without it empty. */
struct span http_exchange_body(const struct http_exchange *exchange);

/* False while the handler runs on an event loop: then nothing may wait for a lock held across input
 * or output, a database, a disk. A handler that would have to returns HTTP_BLOCKS, having answered
 * nothing, and is called again on a worker, where this is true. */
bool http_exchange_may_block(const struct http_exchange *exchange);
#define HTTP_BLOCKS 1

/* A place for the application's state of this exchange: set once in match() or admit(), freed by
 * `release` when the exchange ends, after every other callback. */
void http_exchange_set_state(struct http_exchange *exchange, void *state,
                             void (*release)(void *state));
void *http_exchange_state(const struct http_exchange *exchange);

/* Who is behind the request, for the access log (a token's id, never its secret). Copied, cut at
 * 63. */
void http_exchange_set_actor(struct http_exchange *exchange, const char *actor);
