/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct api_problem;
struct transfer;

/*
 * push_busy - waiting for a request of ours that was broken off, and that the server has
 * not ended yet.
 */

/* True: it was that, and a while has been waited; count *tries from 0. False: something else, or
 * waited long enough. */
bool push_busy_wait(const struct transfer *transfer, const struct api_problem *problem,
                    uint32_t *tries);
