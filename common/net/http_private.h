/* SPDX-License-Identifier: MIT */
#pragma once

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/net/http_headers.h"
#include "common/net/http_loop.h"
#include "common/net/http_request.h"
#include "common/net/rate.h"

/*
 * http_private - what http_loop.c, http_request.c, http_setup.c and http_throttle.c share.
 *
 * libcurl refuses to have handles added, removed or resumed from inside its callbacks. While
 * `performing`, such wishes are flags of the request, and the request is in the loop's
 * `changed` list until the turn is over.
 */
#define HTTP_HANDLES_KEPT 16

struct http_loop {
    CURLM *multi;
    pthread_mutex_t lock; /* guards the posts */
    struct http_post *posts_first, *posts_last;
    bool has_lock;
    _Atomic(pthread_t) owner;

    struct http_timer **timers; /* a heap, the earliest first */
    size_t timer_count, timer_capacity;
    struct http_watch *watches;
    size_t watch_count;
    struct curl_waitfd *wait_fds;
    size_t wait_capacity;
    bool watches_changed;

    struct http_request *requests; /* all, doubly linked */
    struct http_request *changed;
    bool performing;

    struct rate rate; /* of all bodies */
    struct http_timer rate_timer;
    struct http_request *throttled; /* the newest first */

    CURL *kept[HTTP_HANDLES_KEPT]; /* handles for later requests */
    size_t kept_count;

    _Atomic uint64_t sent, received, request_count;
};

struct http_request {
    struct http_loop *loop;
    struct http_request *next, *previous;
    struct http_request *next_changed;
    struct http_request *next_throttled;
    bool is_changed, is_added, wants_resume, is_over; /* over: on_done was called */
    bool is_throttled;
    bool timed_out;
    CURL *easy;
    struct curl_slist *lines;      /* request headers */
    struct http_request_spec spec; /* texts are not valid after the start */
    struct http_timer timer;       /* first_ms, then total_ms */
    uint64_t total_due_ms;         /* 0: none */
    struct http_header_list headers;
    bool headers_given;
    int stopped; /* what a callback of the spec's returned, or a limit */
    struct error stopped_err;
    uint64_t body_at; /* position in the request's body */
    bool is_taken;    /* all of it, and on_sent is to be called */
    uint64_t sent, received;
    char origin[280]; /* "host:port", for errors */
};

/* Sets every option of request->easy from the spec. */
int http_setup(struct http_request *request, const struct http_request_spec *spec,
               struct error *err);

/* Handles: a used one or a new one; and back. */
CURL *http_loop_take_handle(struct http_loop *loop);
void http_loop_give_handle(struct http_loop *loop, CURL *easy);

/* The limit of bytes a second. Whether `size` bytes of a body may pass now; else the callback is to
 * pause the request. */
void http_throttle_init(struct http_loop *loop, uint64_t bytes_per_s);
bool http_throttle_pass(struct http_request *request, size_t size);
void http_throttle_forget(struct http_request *request); /* also when it does not wait */

/* libcurl is done with it. Calls on_done and frees. */
void http_request_finish(struct http_request *request, CURLcode code);
/* Carries out the flags; frees it when it is over. */
void http_request_apply(struct http_request *request);
void http_request_change(struct http_request *request);
