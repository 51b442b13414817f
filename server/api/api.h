/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

#include "server/http/http_server.h"

struct buf;
struct error;
struct http_metrics;
struct services;
struct workers;

/*
 * api - the HTTP operations of api/openapi.yaml over the services.
 *
 * An operation is one line of routes.c. For every request: the route is matched,
 * the token looked at (on the loop when it is known there, else on a worker), and
 * only then anything of the request is used. Handlers are thin: parse, ask a
 * service, answer.
 */
struct api;

struct api_options {
    struct services *services;    /* borrowed, all of them outlive the api */
    struct http_metrics *metrics; /* may be NULL: then /metrics tells less */
    struct workers *workers;
    const char *metrics_token; /* NULL: /metrics is open */
};

int api_new(const struct api_options *options, struct api **out_api, struct error *err);
struct api *api_free(struct api *api); /* NULL is fine; returns NULL */

/* For http_server_start; lives as long as the api. */
struct http_application api_application(struct api *api);

/* The table of routes, as JSON: [{method, path, permission, reach, body, place}]. */
void api_write_routes(struct buf *out);
