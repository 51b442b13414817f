/* SPDX-License-Identifier: MIT */
#include "agent/transfer/push_busy.h"

#include <string.h>

#include "agent/transfer/transfer.h"
#include "common/base/clock.h"
#include "common/client/api_client.h"
#include "common/net/http_loop.h"
#include "common/net/retry.h"

static bool never(void *context)
{
    return false;
}

bool push_busy_wait(const struct transfer *transfer, const struct api_problem *problem,
                    uint32_t *tries)
{
    uint64_t wait_ms;

    if (strcmp(problem->code, "push-busy") != 0 ||
        !retry_wait(&transfer->retry, ++*tries + 1, 0, UINT32_MAX / 2, &wait_ms))
        return false;
    http_loop_run_until(api_client_loop(transfer->client), never, NULL,
                        clock_monotonic_ms() + wait_ms, NULL);
    return transfer_stopped(transfer, NULL) == 0;
}
