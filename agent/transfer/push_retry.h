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
    uint32_t tries; /* failures in a row: set to 0 when something went well */
};

/* `again` is called with `context` when the pause is over. */
void push_retry_init(struct push_retry *retry, struct http_loop *loop, http_loop_function *again,
                     void *context);
/* Counts a failure. False: it was one too many, and nothing will be called. */
bool push_retry_later(struct push_retry *retry, const struct transfer *transfer);
/* Nothing will be called any more; also when nothing was to be. */
void push_retry_clear(struct push_retry *retry);
