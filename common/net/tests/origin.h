/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * origin - a scripted HTTP/1.1 server on loopback, for tests.
 *
 * One thread accepts, one thread a connection. The handler gets each request and answers as it
 * likes, also with nonsense: origin_send writes raw bytes. Its return tells whether the connection
 * stays.
 */
struct origin;

struct origin_request {
    struct origin *origin;
    int fd;
    char method[16];
    char path[2048];
    char head[16384]; /* all header lines */
    uint8_t *body;
    size_t body_size;
    bool has_range;
    uint64_t range_first, range_last; /* inclusive; last UINT64_MAX: open */
};

typedef bool origin_handler(void *context, struct origin_request *request);

struct origin *origin_start(origin_handler *handler, void *context);
void origin_stop(struct origin *origin); /* closes what is open, waits for the threads */
const char *origin_url(const struct origin *origin); /* "http://127.0.0.1:PORT" */
int origin_port(const struct origin *origin);
/* Header lines that every origin_reply has from now on, or NULL; they must stay. */
void origin_set_lines(struct origin *origin, const char *lines);
unsigned origin_requests(const struct origin *origin);
unsigned origin_connections(const struct origin *origin);

/* NULL or the value, in a buffer of the request's. */
const char *origin_header(struct origin_request *request, const char *name, char *out, size_t size);

bool origin_send(struct origin_request *request, const void *bytes, size_t size);
bool origin_print(struct origin_request *request, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Status, optional extra header lines ("A: b\r\n"), and a body with its length. */
bool origin_reply(struct origin_request *request, int status, const char *lines, const void *body,
                  size_t size);
/* As a correct server: 200, 206 or 416 with ETag. */
bool origin_reply_file(struct origin_request *request, const char *etag, const uint8_t *bytes,
                       size_t size);
