/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct api_problem;
struct transfer;

/*
 * push_busy - waiting for a request of ours that was broken off, and that the server has not ended
 * yet. That is no failure, so it is not counted as one: how long it takes is the server's business,
 * which may be at a sync of many bytes. But a request of somebody else may last for ever.
 */
#define PUSH_BUSY_MAX_MS 30000 /* more than a server waits for a client that is gone */
#define PUSH_BUSY_STEP_MS 200

/* Whether there is more waiting to do. *since_ms: 0 before the first time. */
bool push_busy_goes_on(uint64_t *since_ms);

/* True: it was that, and a while has been waited; *since_ms begins at 0. False: something else, or
 * waited long enough. Runs the loop. */
bool push_busy_wait(const struct transfer *transfer, const struct api_problem *problem,
                    uint64_t *since_ms);
