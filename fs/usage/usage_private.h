/* SPDX-License-Identifier: MIT */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "common/net/http_loop.h"
#include "fs/usage/lease_book.h"
#include "fs/usage/usage.h"
#include "fs/usage/uses.h"

/* usage_private - what usage.c (its life, what is used, status) and usage_round.c (everything gone
 * over, and said) share. */
struct usage {
    struct usage_options options;
    struct usage_source sources[USAGE_SOURCES_MAX];
    struct uses *uses;
    struct http_timer timer;
    struct http_post wake_post; /* a version begins to be used */
    _Atomic bool wake_posted;
    _Atomic uint64_t last_read; /* slot and second: the same again is no news */
    _Atomic bool ended;
    _Atomic bool is_new; /* something is to be written down */
    uint64_t saved_ms;   /* of the worker */

    bool works; /* loop thread, with the next */
    bool is_wanted_again;
    struct http_post work_post;
    struct in_use set; /* what the worker collects */
    bool with_states;
    struct api_leases_put *put;

    pthread_mutex_t lock; /* of the book */
    struct lease_book *book;
    bool has_warned; /* of leases; loop thread */
};

/* usage_round.c. The timer's function; and the same at once, from any thread. */
void usage_go_over(void *context);
void usage_wake(void *context); /* the post's function */
void usage_wake_soon(struct usage *usage);
