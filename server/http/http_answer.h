/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

struct buf;
struct error;
struct http_exchange;
struct json_writer;

/*
 * http_answer - the ways to answer an exchange, once each.
 *
 * An answer function records the answer; it leaves when the handler has returned.
 * A second answer to one exchange is a fault of the caller (assert). All of them
 * return 0, or -ENOMEM with the exchange unanswered, so that handlers end with
 * `return http_answer_...(...)`.
 *
 * X-Request-Id and X-Content-Type-Options: nosniff are on every answer. HEAD never
 * sends a body, its Content-Length is that of GET.
 */

/* Before the answer. Copied. A name set before is replaced. -ENOMEM. */
int http_answer_header(struct http_exchange *exchange, const char *name, const char *value,
                       struct error *err);

/* Takes the bytes out of *body. application/json; gzip when asked for and worth it. */
int http_answer_json(struct http_exchange *exchange, unsigned status, struct buf *body,
                     struct error *err);
/* The same with a media type of its own; `compress`: gzip may be used (never with a strong
 * ETag). */
int http_answer_text(struct http_exchange *exchange, unsigned status, const char *media_type,
                     struct buf *body, bool compress, struct error *err);
int http_answer_empty(struct http_exchange *exchange, unsigned status, struct error *err);

/*
 * problem: RFC 9457, application/problem+json. `code` is one of common/model/problem.h's table,
 * which gives status and title. detail may be NULL; it is sent for 4xx only. `extra` (may be NULL)
 * writes further members. WWW-Authenticate (401) and Retry-After (429, 503: a second, unless the
 * handler has set it) are added here.
 */
int http_answer_problem(struct http_exchange *exchange, const char *code, const char *detail,
                        void (*extra)(void *context, struct json_writer *writer), void *context,
                        struct error *err);

/* The problem that belongs to an error code (err->code), with err->text for 4xx. What handlers
 * return as a failure is answered with this by the server itself. */
int http_answer_error(struct http_exchange *exchange, const struct error *failure,
                      struct error *err);

/*
 * Content: bytes that never change, under a strong ETag, or, without one, bytes that may be others
 * the next time. http_content_begin() looks at If-None-Match, If-Range, Range and the method, sets
 * the headers, and says in *out_needed whether bytes are needed:
 *
 *   false  the exchange is answered (304, 416, HEAD)
 *   true   exactly the bytes [*out_offset, +*out_size) are to be given, by ONE of the four below
 */
struct http_content {
    const char *media_type;
    const char *etag; /* with its quotes; NULL: none, no conditions and no ranges */
    uint64_t size;
    const char *cache_control; /* NULL: "private, no-cache" */
};
int http_content_begin(struct http_exchange *exchange, const struct http_content *content,
                       bool *out_needed, uint64_t *out_offset, uint64_t *out_size,
                       struct error *err);

/* From an open file, at `offset` of the file; leaves by sendfile when the pages are resident, else
 * they are read on a worker. Takes *fd (also on failure). */
int http_content_file(struct http_exchange *exchange, int *fd, uint64_t offset, struct error *err);
/* From memory; takes the bytes out of *body, whose size is *out_size. */
int http_content_bytes(struct http_exchange *exchange, struct buf *body, struct error *err);
/* From memory that somebody else owns: `bytes` are exactly *out_size; `release(owner)` is called
 * once, when they have left or never will, on any thread (also on failure). */
int http_content_memory(struct http_exchange *exchange, struct span bytes, void *owner,
                        void (*release)(void *owner), struct error *err);
/* From a source, see below. Takes the source, also on failure. */
struct http_source;
int http_content_source(struct http_exchange *exchange, const struct http_source *source,
                        struct error *err);

/*
 * source - bytes that come piece by piece. read() is called on a worker, one call at a time, until
 * it gives 0 bytes; a failure cuts the connection, so that the client sees an incomplete body.
 * close() is called exactly once, whatever happens, on a worker or (when the exchange could not be
 * answered) by the caller's thread.
 */
struct http_source {
    void *context;
    int (*read)(void *context, void *out, size_t size, size_t *out_size, struct error *err);
    void (*close)(void *context);
};

/* A 200 of unknown length (chunked). gzip is not applied. Whether its token still lives is asked
 * meanwhile, as for content. Takes the source, also on failure. */
int http_answer_source(struct http_exchange *exchange, const char *media_type,
                       const struct http_source *source, struct error *err);

/*
 * feed - an answer that goes on for as long as the client likes, and mostly waits: no thread
 * belongs to it then.
 *
 * take() is called on a loop and never blocks. When it says HTTP_FEED_WAIT it is not called again
 * before http_feed_wake(); HTTP_FEED_LOAD has load() called on a worker first (a failure cuts the
 * connection). Not more than one of the two runs at a time. close() is called exactly once, on any
 * thread, and must be short.
 *
 * A client that does not read is not sent more than the socket holds: take() is not called, and the
 * server's idle timeout closes the connection. A feed ends with its actor's right to it, and when
 * the server stops, which does not wait for feeds.
 */
enum http_feed_turn {
    HTTP_FEED_BYTES, /* *out_size of them, at least one */
    HTTP_FEED_WAIT,
    HTTP_FEED_LOAD,
    HTTP_FEED_END, /* of the body */
};
struct http_feed_source {
    void *context;
    enum http_feed_turn (*take)(void *context, void *out, size_t size, size_t *out_size);
    int (*load)(void *context, struct error *err);
    void (*close)(void *context);
};

/* A 200 of unknown length. gzip is not applied. Takes the source, also on failure. *out_feed may be
 * woken until the source's close(); NULL after a HEAD, which has no feed. */
struct http_feed;
int http_answer_feed(struct http_exchange *exchange, const char *media_type,
                     const struct http_feed_source *source, struct http_feed **out_feed,
                     struct error *err);
/* Has take() called again soon, also when it is at it now. Any thread. */
void http_feed_wake(struct http_feed *feed);
