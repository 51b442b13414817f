/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/client/api_client.h"
#include "common/client/servers.h"
#include "common/codec/digest.h"
#include "common/net/http_loop.h"
#include "common/net/url.h"

/*
 * api_private - what api_client.c (servers, token), api_call.c (one call with its tries), api_run.c
 * (the wait for its end), api_probe.c (servers that are passed over) and api_problem.c (what an
 * error answer says) share, and what those who read lists do (api_versions.c has it).
 */
#define API_BASE "/api/v1"
#define API_ANSWER_MAX (16 * 1024 * 1024)
#define API_STORE_SIZE 64

struct api_probe {
    struct api_client *client;
    size_t server;
    struct http_request *request; /* NULL: none runs */
    enum server_event event;      /* what its headers say */
    struct error err;
};

struct api_client {
    struct http_loop *loop;
    struct url_base *bases;
    size_t server_count;
    struct servers *servers;
    struct api_probe *probes; /* one a server */
    struct http_timer probe_timer;
    void (*on_server)(void *context, size_t index, const struct server_status *status);
    void *server_context;
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

/* Has servers that are passed over looked at when their pause is over. After each change. */
void api_probe_schedule(struct api_client *client);
void api_probe_end(struct api_client *client);
/* The state of a server changed. */
void api_client_tell(struct api_client *client, size_t index);

/* An answer that is no success, and the address it came from. */
struct api_refused {
    const char *server;
    int status;
    const struct http_headers *headers;
    struct span body;
    bool had_token; /* the request */
};

/* Whether an answer is in the API's words, by what its headers say: else it is a proxy's, or
 * somebody's page. */
bool api_problem_is_ours(const struct http_headers *headers);

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
