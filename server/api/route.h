/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/http/http_exchange.h"
#include "server/http/http_server.h"

struct error;
struct url;

/*
 * route - the table of operations, and which line of it a request means.
 *
 * A pattern's segments are literal, `{name}`, or at the end `{name...}`, which takes one or more
 * segments. A literal's colon and all other bytes stand for themselves. The first line that fits
 * in path and method is meant; HEAD means the GET of the same path where it has no line of its
 * own.
 */
enum permit {
    PERMIT_OPEN,      /* no token is looked at */
    PERMIT_METRICS,   /* the setting metrics_token, when there is one */
    PERMIT_SEE,       /* pull; of what the path names, only what the token sees is shown */
    PERMIT_SEE_PUSH,  /* the same with push */
    PERMIT_SEE_ADMIN, /* with admin: the handler keeps to the token's scope */
    PERMIT_PULL,
    PERMIT_PUSH,
    PERMIT_PROMOTE,
    PERMIT_ADMIN,
};

/* How large a JSON body may be, and a push's listing or times (of 2^24 entries). */
#define ROUTE_JSON_MAX ((uint64_t)1 << 20)
#define ROUTE_DOCUMENT_MAX ((uint64_t)5 << 30)

struct route {
    enum http_method method;
    const char *pattern;
    int (*handle)(struct http_exchange *exchange, void *context, struct error *err);
    const struct http_sink *sink; /* instead of handle, for HTTP_BODY_STREAM */
    enum permit permit;
    enum http_body body;
    bool length_required;
    enum http_place place;
};

extern const struct route routes[];
extern const size_t route_count;

#define ROUTE_PARAMETERS_MAX 6

struct route_parameter {
    const char *name; /* within the pattern, not terminated */
    size_t name_size;
    size_t first, count; /* segments of the URL */
};

struct route_match {
    size_t index; /* in routes */
    struct route_parameter parameters[ROUTE_PARAMETERS_MAX];
    size_t parameter_count;
};

/* 0; -ENOENT: no such path; -ENOTSUP: the path has other methods, *out_allowed is a set of 1 <<
 * method. */
int route_find(const struct url *url, enum http_method method, struct route_match *out,
               unsigned *out_allowed);

const char *permit_name(enum permit permit); /* "open", "pull" ... */
