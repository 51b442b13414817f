/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/client/servers.h"
#include "common/net/http_request.h"
#include "common/net/retry.h"

struct api_client;
struct secret;

/*
 * api_client - requests to "the server", which may be several addresses.
 *
 * A call names a path below the base ("/api/v1" + path). It goes to the first server, in the order
 * given, that is not passed over (servers.h); when that one is away (not reached, silent, 5xx, 429)
 * or does not answer as the API does, every other one is tried at once, then all again after a
 * pause, by the retry policy. Only calls that may be repeated are: GET, HEAD, PUT, DELETE, and POST
 * or PATCH that say `repeatable`. 401 and 403 are answers, and no reason to ask another server: a
 * token that one of them refuses is refused.
 *
 * All servers are addresses of one store: the one that was named, or else that of the first answer.
 * What a server of another store says is not used.
 *
 * One loop, one thread: that of the loop. Calls of api_call_run from another thread are a fault.
 *
 * What a call ends with:
 *   0           a 2xx answer (or 304, 206, 416 ... when the call said `any_status`)
 *   -EPERM      401
 *   -EACCES     403, or the token may not be sent there     -EPROTO  the certificate is wrong
 *   -ENOENT     404     -ESTALE   410     -EEXIST   409, 412     -EINVAL 400, 422 and others
 *   -EBADMSG    422 digest-mismatch, or an answer that breaks the protocol
 *   -EFBIG      413, or an answer larger than allowed     -ENOSPC 507
 *   -EAGAIN     not reached, 429 or 5xx, to the end of the tries
 *   -ETIMEDOUT  no answer in time      -EIO     broken off in the middle, or not a kkArtifact
 *                                               server: a redirect, 2xx with no JSON
 *   -ENETDOWN   the client is offline: from api_call_start itself
 *   -ECANCELED  api_call_cancel, or the client was freed
 * The exact status, the problem's code and detail are in struct api_answer.
 */
struct api_client_options {
    struct http_loop *loop;     /* the caller's, outlives the client */
    const char *const *servers; /* "https://host[:port][/prefix]", at least one */
    size_t server_count;
    struct secret *token;                /* handed over (also on failure); NULL: anonymous */
    const char *ca_file;                 /* or NULL */
    const char *user_agent;              /* NULL: "kkartifact/<version>" */
    bool insecure;                       /* the token may go over plain HTTP to any host */
    bool offline;                        /* nothing is ever sent: -ENETDOWN at once */
    const char *store;                   /* its id, or NULL; see api_client_expect_store */
    const struct servers_policy *policy; /* NULL: the default */
    /* A server is passed over from now on, or used again: for the log. NULL: nobody is told. Loop
     * thread. */
    void (*on_server)(void *context, size_t index, const struct server_status *status);
    void *server_context;
    uint64_t connect_ms; /* 0: 10,000 */
    /* stall limit of each try, and total for answers without a large body. 0: 30,000 */
    uint64_t timeout_ms;
    struct retry_policy retry; /* tries 0: the default policy */
};

/* -EINVAL: no server, or an address that is none, or a token would go in clear text to a host that
 * is not loopback: refused now, before anything is sent. */
int api_client_new(struct api_client **out_client, const struct api_client_options *options,
                   struct error *err);
/* Ends its calls with -ECANCELED. NULL is fine; returns NULL. */
struct api_client *api_client_free(struct api_client *client);

struct http_loop *api_client_loop(const struct api_client *client);
size_t api_client_server_count(const struct api_client *client);
/* The address as given, for messages ("" behind the last), and the one that is asked now. Any
 * thread. */
const char *api_client_server(const struct api_client *client, size_t index);
size_t api_client_current(const struct api_client *client);
/* What is known of a server. Any thread. */
void api_client_server_status(const struct api_client *client, size_t index,
                              struct server_status *out);
/* The store's id as the first answer's X-Kkartifact-Store told, or as it was expected; "" before.
 * Loop thread. */
const char *api_client_store(const struct api_client *client);
/* The servers are of this store. Before the first answer. An id that is too long is none. */
void api_client_expect_store(struct api_client *client, const char *store);
/* Whether the server that is asked first is this machine: bytes cost nothing on the way then, and
 * compressing them does not pay. */
bool api_client_is_local(const struct api_client *client);
/* Whether it was made to send nothing. Any thread. */
bool api_client_is_offline(const struct api_client *client);
/* Whether the last call reached a server; counters for status. Any thread. */
bool api_client_online(const struct api_client *client);
/* Whether the last answer refused the token (401, 403). Any thread. */
bool api_client_unauthorised(const struct api_client *client);
/* HMAC of the token under a fixed label, 64 hex digits: names a token in a cache without telling
 * it. "anonymous" without one. */
const char *api_client_token_name(const struct api_client *client);

/* A problem+json answer, or what can be said of another error answer. */
struct api_problem {
    char code[48];    /* "version-exists"; "" when the answer had none */
    char detail[256]; /* "" when none */
    char request_id[64];
    uint64_t expected_offset;  /* offset-mismatch; UINT64_MAX otherwise */
    uint64_t missing;          /* missing-blobs; UINT64_MAX otherwise */
    char existing_content[65]; /* version-exists; "" otherwise */
};

struct api_answer {
    int code;                           /* 0, or as above */
    int status;                         /* 0 when there was no answer */
    struct span body;                   /* when no sink was given */
    const struct http_headers *headers; /* of the last answer; NULL when there was none */
    struct api_problem problem;
    uint64_t sent, received; /* body bytes of all tries */
    size_t server;           /* that was asked last */
    struct error err;
};

/* The answer lives until the callback returns. */
typedef void api_call_done(void *context, const struct api_answer *answer);

#define API_CALL_LEAST_MS 100

struct api_call_spec {
    enum http_method method;
    const char *path;   /* below /api/v1, encoded ("/projects/a%20b"), with its query; copied */
    const char *accept; /* or NULL; a 2xx answer that is collected must be an object where this is
                           "application/json" */
    const char *content_type;          /* of the body, or NULL */
    const struct http_header *headers; /* more of them; copied */
    size_t header_count;
    struct http_body body; /* must stay until done */
    bool repeatable;       /* a POST or PATCH that may be sent twice */
    /* never a second try, whatever the method: the caller has its own policy */
    bool once;
    /* that it fails tells nothing of the server, which may be slow or new at this alone: a server
     * is not taken to be away because of it */
    bool is_hint;
    /* every answer of a server is a success: the caller looks at the status */
    bool any_status;
    bool outside;          /* path is from the server's root, not below /api/v1 */
    uint64_t body_maximum; /* of the answer when it is collected. 0: 16 MiB */
    uint64_t timeout_ms;   /* of each try. 0: the client's */
    /* all tries, of clock_monotonic_ms: none goes on or begins behind it, but the first is
     * given API_CALL_LEAST_MS. 0: no bound but those of the tries */
    uint64_t deadline_ms;

    /* A 2xx answer's body goes here instead of into answer->body. A second try begins with
     * on_restart: what was got is to be forgotten; without on_restart there is none once bytes
     * came. */
    http_on_body *on_body;
    void (*on_restart)(void *context);

    http_on_sent *on_sent; /* of each try; or NULL */
    api_call_done *done;
    void *context;
};

struct api_call;
/* Loop thread. done comes from a later turn. *out_call may be NULL. */
int api_call_start(struct api_client *client, const struct api_call_spec *spec,
                   struct api_call **out_call, struct error *err);
/* done is called with -ECANCELED before this returns. */
void api_call_cancel(struct api_call *call);
/* Bytes of its body that this try has given to the network. */
uint64_t api_call_sent(const struct api_call *call);

/* Starts it and runs the loop until it is done; spec->done is ignored. *out holds copies that
 * api_result_release frees. Returns out->code. */
struct api_result {
    int status;
    struct buf body;
    struct buf header_texts; /* the copies behind `headers` */
    struct http_header *header_items;
    struct http_headers headers;
    struct api_problem problem;
    uint64_t sent, received;
};
struct api_result api_result_init(void);
void api_result_release(struct api_result *result);
int api_call_run(struct api_client *client, const struct api_call_spec *spec,
                 struct api_result *out, struct error *err);

/* Makes the loop's wait, and with it a running api_call_run, end with -ECANCELED, now and for every
 * later call. Any thread; for SIGINT. */
void api_client_interrupt(struct api_client *client);

/* Ends every call in progress with -ECANCELED. Loop thread. */
void api_client_cancel(struct api_client *client);
bool api_client_is_interrupted(const struct api_client *client); /* any thread */

/* For engines that make their own requests: fills url, bearer, ca_file, user_agent, insecure and
 * connect_ms of *spec for server number `index`; the texts are the client's, the URL is written
 * into *url. `tried` are those that are no way out: while another one is ok less time is given to
 * connecting. -ENETDOWN: offline. */
int api_client_prepare(const struct api_client *client, size_t index, uint64_t tried,
                       const char *path, struct buf *url, struct http_request_spec *spec,
                       struct error *err);
/* What chooses for them; loop thread for what changes it. */
struct servers *api_client_servers(const struct api_client *client);
/* To be asked of each answer's headers, before anything of it is used: -EIO when it is of another
 * store; that is noted. */
int api_client_check_store(struct api_client *client, size_t index,
                           const struct http_headers *headers, struct error *err);
/* Tells what came of a request; once. retry_after_ms: 0 when the answer said nothing. */
void api_client_report(struct api_client *client, size_t index, const struct http_result *result,
                       uint64_t retry_after_ms);
/* What that does not show: SERVER_WRONG or SERVER_OVERTAKEN. */
void api_client_note(struct api_client *client, size_t index, enum server_event event,
                     const char *why);

/* "/projects/P/apps/A", above it the project, below it versions and pushes; encoded, appended to
 * *out. */
void api_path_project(struct buf *out, const char *project);
void api_path_app(struct buf *out, const char *project, const char *app);
void api_path_version(struct buf *out, const char *project, const char *app, const char *version);
void api_path_blob(struct buf *out, const char *project, const char *app, const char *version,
                   const char *sha256_hex);
