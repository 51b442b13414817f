/* SPDX-License-Identifier: MIT */
#include "agent/transfer/push_retry.h"

#include "agent/transfer/push_busy.h"
#include "agent/transfer/transfer.h"
#include "common/base/clock.h"
#include "common/base/random.h"
#include "common/net/retry.h"

void push_retry_init(struct push_retry *retry, struct http_loop *loop, http_loop_function *again,
                     void *context)
{
    *retry =
        (struct push_retry){ .loop = loop, .timer = { .function = again, .context = context } };
}

bool push_retry_later(struct push_retry *retry, const struct transfer *transfer)
{
    uint64_t wait_ms = 0;
    uint32_t random = 0;

    retry->tries++;
    return random_bytes(&random, sizeof(random), NULL) == 0 &&
           retry_wait(&transfer->retry, retry->tries + 1, 0, random, &wait_ms) &&
           http_timer_set(retry->loop, &retry->timer, clock_monotonic_ms() + wait_ms) == 0;
}

void push_retry_reset(struct push_retry *retry)
{
    retry->tries = 0;
    retry->busy_since_ms = 0;
}

bool push_retry_when_free(struct push_retry *retry)
{
    return push_busy_goes_on(&retry->busy_since_ms) &&
           http_timer_set(retry->loop, &retry->timer, clock_monotonic_ms() + PUSH_BUSY_STEP_MS) ==
               0;
}

void push_retry_clear(struct push_retry *retry)
{
    http_timer_clear(retry->loop, &retry->timer);
}
