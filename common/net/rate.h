/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * rate - a token bucket: so many bytes a second, whoever takes them.
 *
 * The bucket fills steadily and holds an eighth of a second. While anything is in it, it
 * gives what is asked, whole, and may then owe: so no piece is ever too large, and the
 * mean is right. Times are those of clock_monotonic_ms. Plain data, one thread.
 */
struct rate {
    uint64_t bytes_per_s; /* 0: no limit */
    int64_t left;         /* thousandths of a byte */
    uint64_t at_ms;       /* when it was that */
};

struct rate rate_init(uint64_t bytes_per_s, uint64_t now_ms);
/* Whether `size` bytes may pass now; then they are taken. */
bool rate_take(struct rate *rate, size_t size, uint64_t now_ms);
/* They did not pass after all. */
void rate_give_back(struct rate *rate, size_t size);
/* How long nothing is given; 0: something is. */
uint64_t rate_wait_ms(struct rate *rate, uint64_t now_ms);
/* How much to ask for at a time, so that many get their turn: at least 1024. */
size_t rate_step(const struct rate *rate);
