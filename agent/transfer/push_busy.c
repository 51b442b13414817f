/* SPDX-License-Identifier: MIT */
#include "agent/transfer/push_busy.h"

#include <string.h>

#include "agent/transfer/transfer.h"
#include "common/base/clock.h"
#include "common/client/api_client.h"
#include "common/net/http_loop.h"

static bool never(void *context)
{
    return false;
}

bool push_busy_goes_on(uint64_t *since_ms)
{
    uint64_t now_ms = clock_monotonic_ms();

    if (*since_ms == 0)
        *since_ms = now_ms;
    return now_ms - *since_ms < PUSH_BUSY_MAX_MS;
}

bool push_busy_wait(const struct transfer *transfer, const struct api_problem *problem,
                    uint64_t *since_ms)
{
    if (strcmp(problem->code, "push-busy") != 0 || !push_busy_goes_on(since_ms))
        return false;
    http_loop_run_until(api_client_loop(transfer->client), never, NULL,
                        clock_monotonic_ms() + PUSH_BUSY_STEP_MS, NULL);
    return transfer_stopped(transfer, NULL) == 0;
}
