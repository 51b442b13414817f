/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/client/api_client.h"
#include "common/codec/digest.h"
#include "common/net/http_loop.h"
#include "common/net/url.h"

/*
 * api_private - what api_client.c (servers, token), api_call.c (one call with its tries) and
 * api_problem.c (what an error answer says) share, and what those who read lists do
 * (api_versions.c has it).
 */
#define API_BASE "/api/v1"
#define API_SERVER_AWAY_MS 30000 /* one that failed is tried last for so long */
#define API_ANSWER_MAX (16 * 1024 * 1024)
#define API_STORE_SIZE 64

struct api_server_state {
    struct url_base base;
    uint64_t away_until_ms;
};

struct api_client {
    struct http_loop *loop;
    struct api_server_state *servers;
    size_t server_count;
    size_t current;
    struct secret *token;
    char token_name[DIGEST_HEX_SIZE];
    char *ca_file, *user_agent;
    bool insecure, offline;
    uint64_t connect_ms, timeout_ms;
    struct retry_policy retry;
    bool has_answered; /* any server, at any time; loop thread */
    char store[API_STORE_SIZE];
    struct api_call *calls;
    _Atomic bool online, unauthorised, interrupted;
};

/* An answer that is no success, and the address it came from. */
struct api_refused {
    const char *server;
    int status;
    const struct http_headers *headers;
    struct span body;
    bool had_token; /* the request */
};

/* Fills *out from the problem body. Returns the code that stands for the status. Where the answer
 * is not in the API's words (a proxy's, a redirect) the text names the server. */
int api_problem_read(const struct api_refused *refused, struct api_problem *out, struct error *err);
void api_problem_clear(struct api_problem *out);

/* Where the API says that something is not there, or is not for this token (a text that names
 * nothing): puts its name in front. app and version may be NULL. Returns r. */
int api_problem_about(const struct api_problem *problem, int r, const char *project,
                      const char *app, const char *version, struct error *err);

/* An answer that breaks the rules is the server's fault, not the caller's. */
int api_bad_answer(int r, struct error *err);

/* The items of every page of a list; non-zero of `each` ends it and is returned. *out_problem is
 * that of a page that could not be had. */
struct json_value;
typedef int api_item_each(void *context, const struct json_value *item, struct error *err);
int api_walk_pages(struct api_client *client, const char *path, api_item_each *each, void *context,
                   struct api_problem *out_problem, struct error *err);
