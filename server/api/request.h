/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

#include "server/api/api.h"
#include "server/api/route.h"
#include "server/service/access.h"
#include "server/service/projects.h"
#include "server/service/refusal.h"

struct digest;
struct http_exchange;
struct json_value;

/*
 * request - one matched request: its route, what its path names, who asks.
 *
 * The state of the exchange (http_exchange_state). Lives as long as that. A name in
 * the path that can be no name at all (a NUL or a '/' in it, too long) is answered
 * 404 by the admission, after the token was looked at, so that handlers never see one; a value of
 * the query that holds a NUL is answered 422 there.
 */
struct request {
    struct api *api;
    const struct route *route;
    struct route_match match;
    char project[NAME_TEXT_SIZE]; /* "" when the path has none */
    char app[NAME_TEXT_SIZE];
    char reference[VERSION_TEXT_SIZE + 1]; /* a version's name, `latest`, `@channel` */
    char push[64];
    char job[64];
    char host[HOST_MAX_SIZE + 1];
    bool name_impossible;
    struct caller caller;
    struct refusal why; /* filled by services; read when a failure is answered */
};

struct request *request_of(const struct http_exchange *exchange);
struct services *request_services(const struct http_exchange *exchange);

/* The application's three (http_server.h). */
int request_match(struct http_exchange *exchange, void *context,
                  const struct http_operation **out_operation, struct error *err);
int request_admit(struct http_exchange *exchange, void *context, struct error *err);
void request_fail(struct http_exchange *exchange, void *context, const struct error *failure);

/* {d} as it stands in the path. */
struct span request_blob_text(struct http_exchange *exchange);
/* {d}: -ENOENT when it is no digest. */
int request_digest(struct http_exchange *exchange, struct digest *out, struct error *err);
/* {place}, which may hold any '/': -ENOENT when it is too long or holds a NUL. */
int request_place(struct http_exchange *exchange, char *out, size_t size, struct error *err);
/* {path...}: the segments joined by '/'; -ENOENT when one holds a NUL or a '/'. */
int request_path(struct http_exchange *exchange, struct buf *out, struct error *err);
/* Is `name=1` in the query? */
bool request_flag(struct http_exchange *exchange, const char *name);
/* ?limit= and ?cursor=: -EINVAL. */
int request_page(struct http_exchange *exchange, struct page_request *out, struct error *err);
/* A header that is a number: -EINVAL also when it is absent. */
int request_header_number(struct http_exchange *exchange, const char *name, uint64_t *out,
                          struct error *err);

/* What the body's Content-Encoding says. */
enum request_coding { REQUEST_CODING_NONE, REQUEST_CODING_ZSTD, REQUEST_CODING_OTHER };
enum request_coding request_coding_of(struct http_exchange *exchange);

/* A member of a JSON body: absent leaves *out alone, another type is -EINVAL with its pointer. */
int request_member_text(struct http_exchange *exchange, const struct json_value *object,
                        const char *name, const char **out, struct error *err);
/* A number, or null, which gives `null_value`. *out_said: whether the member is there. */
int request_member_integer_or_null(struct http_exchange *exchange, const struct json_value *object,
                                   const char *name, int64_t null_value, int64_t *out,
                                   bool *out_said, struct error *err);
int request_member_bool(struct http_exchange *exchange, const struct json_value *object,
                        const char *name, bool *out, struct error *err);
int request_member_digest(struct http_exchange *exchange, const struct json_value *object,
                          const char *name, struct digest *digest, const struct digest **out,
                          struct error *err);

/* The body as JSON; an empty one is {}. -EINVAL when it is no object; what is no JSON at all is
 * answered here
 * (400) and gives 1. */
struct json;
int request_json(struct http_exchange *exchange, struct json **out, struct error *err);
