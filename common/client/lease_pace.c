/* SPDX-License-Identifier: MIT */
#include "common/client/lease_pace.h"

#include "common/net/retry.h"

#define RENEW_S 3600        /* where the server says nothing */
#define FAILURES_COUNTED 64 /* more make no pause longer */

void lease_pace_said(struct lease_pace *pace, uint32_t renew_in_s, uint64_t now_ms, uint32_t random)
{
    pace->failures = 0;
    pace->renew_ms = (uint64_t)(renew_in_s > 0 ? renew_in_s : RENEW_S) * 1000;
    pace->due_ms = now_ms + pace->renew_ms - random % (pace->renew_ms / 5 + 1);
}

void lease_pace_failed(struct lease_pace *pace, uint64_t retry_after_ms, uint64_t now_ms,
                       uint32_t random)
{
    const uint64_t renew_ms = pace->renew_ms > 0 ? pace->renew_ms : (uint64_t)RENEW_S * 1000;
    const uint64_t base_ms = renew_ms < pace->again_ms ? renew_ms : pace->again_ms;
    const struct retry_policy policy = { .tries = UINT32_MAX,
                                         .base_ms = (uint32_t)base_ms,
                                         .max_ms = (uint32_t)renew_ms,
                                         .retry_after_max_ms = UINT32_MAX };
    uint64_t wait_ms = renew_ms;

    pace->failures += pace->failures < FAILURES_COUNTED;
    retry_wait(&policy, pace->failures + 1, retry_after_ms, random, &wait_ms);
    pace->due_ms = now_ms + wait_ms;
}
