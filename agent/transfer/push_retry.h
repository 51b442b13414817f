/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/net/http_loop.h"

struct transfer;

/*
 * push_retry - a request that failed is made again after a pause, by the transfer's policy.
 *
 * One for each lane. On the loop; never blocks.
 */
struct push_retry {
    struct http_loop *loop;
    struct http_timer timer;
    uint32_t tries;         /* failures in a row */
    uint64_t busy_since_ms; /* the server is at a request of ours that broke off; 0: it is not */
};

/* `again` is called with `context` when the pause is over. */
void push_retry_init(struct push_retry *retry, struct http_loop *loop, http_loop_function *again,
                     void *context);
/* Something went well. */
void push_retry_reset(struct push_retry *retry);
/* Counts a failure. False: it was one too many, and nothing will be called. */
bool push_retry_later(struct push_retry *retry, const struct transfer *transfer);
/* The same for `push-busy`, which is no failure (push_busy.h). */
bool push_retry_when_free(struct push_retry *retry);
/* Nothing will be called any more; also when nothing was to be. */
void push_retry_clear(struct push_retry *retry);
