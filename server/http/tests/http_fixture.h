/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "server/http/http_answer.h"
#include "server/http/http_exchange.h"
#include "server/http/http_metrics.h"
#include "server/http/http_server.h"
#include "tests/support/unit.h"

/*
 * http_fixture - a server on a free port of 127.0.0.1 whose operations are a test's table, and a
 * client that writes raw bytes. An operation is found by its label: "/x" is the first segment of
 * the path.
 */
struct fixture {
    struct workers *workers;
    struct http_metrics *metrics;
    struct http_server *server;
    const struct http_operation *operations; /* ends with label NULL */
    void *context;                           /* what handlers get is the fixture */
    int (*admit)(struct http_exchange *exchange, struct fixture *fixture, struct error *err);
    uint16_t port;
};

struct fixture_options {
    unsigned idle_timeout_s;
    size_t waiting_max;
    size_t worker_count;
    unsigned loop_count;
    size_t header_max;
    const char *trusted_proxy;
    bool (*alive)(const char *actor, void *context);
};

struct reply {
    unsigned status; /* 0: the connection was closed before an answer */
    struct buf head; /* status line and headers */
    struct buf body;
    bool whole;  /* as many bytes came as were promised */
    bool closed; /* by the server, after the answer */
};

void fixture_start(struct fixture *fixture, const struct http_operation *operations,
                   const struct fixture_options *options);
void fixture_stop(struct fixture *fixture);

int client_open(const struct fixture *fixture);
/* Nobody listens there any more. */
bool client_is_refused(const struct fixture *fixture);
void client_send(int fd, const char *text);
void client_send_bytes(int fd, const void *bytes,
                       size_t size); /* a peer that closed is no failure */
/* Reads one answer; `head_only`: to a HEAD. */
void client_read(int fd, struct reply *reply, bool head_only);
/* The interim answer 100 has come. */
bool client_sees_continue(int fd);
/* The server closes; what it may still say is read and dropped. */
bool client_is_closed(int fd);

/* One request on a connection of its own. */
struct reply client_ask(const struct fixture *fixture, const char *request);
void reply_release(struct reply *reply);
/* The header's value, cut at the line's end, in a static place; NULL when absent. */
const char *reply_header(struct reply *reply, const char *name);
/* Waits until `*counter` is at least `wanted` (30 s at most, then the test fails). */
void wait_for(_Atomic int *counter, int wanted);
