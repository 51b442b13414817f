/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"

/*
 * retry - whether a failed request is worth another try, and how long to wait.
 *
 * Pure: no clock, no random source of its own. Waits double from base_ms to
 * max_ms, and each is spread over its upper half ("equal jitter") so that hosts that
 * failed together do not come back together. What a server says in Retry-After is waited at
 * least, unless it is more than retry_after_max_ms: then there is no further try.
 */
struct retry_policy {
    uint32_t tries; /* in all, the first included; at least 1 */
    uint32_t base_ms;
    uint32_t max_ms;
    uint32_t retry_after_max_ms;
};

/* 5 tries, 200 ms to 10 s, Retry-After up to 60 s */
struct retry_policy retry_policy_default(void);

enum retry_verdict {
    RETRY_DONE,  /* an answer that another try would not change */
    RETRY_NEXT,  /* worth another try, at another server first */
    RETRY_NEVER, /* failed for good */
};

/* result: http_result.code; status: the answer's. -EAGAIN, -ETIMEDOUT, -EIO and the statuses
 * 408, 425, 429, 500, 502, 503, 504 are worth another try; the rest of the statuses is an
 * answer. */
enum retry_verdict retry_judge(int result, int status);

/* How long to wait before try number `next_try` (2 for the first repetition). False: give up.
 * retry_after_ms: 0 when the server said nothing. random: any 32 bits. */
bool retry_wait(const struct retry_policy *policy, uint32_t next_try, uint64_t retry_after_ms,
                uint32_t random, uint64_t *out_wait_ms);

/* A Retry-After value, seconds or an HTTP date (RFC 9110 10.2.3), in ms from now_s; 0 for anything
 * else, for NULL and for the past. */
uint64_t retry_after_parse(const char *value, int64_t now_s);
