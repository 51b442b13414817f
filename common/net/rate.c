/* SPDX-License-Identifier: MIT */
#include "common/net/rate.h"

#define BURSTS_PER_S 8
#define STEP_MIN 1024
#define RATE_MAX ((uint64_t)1 << 40) /* so that nothing below overflows */

static int64_t burst_of(const struct rate *rate)
{
    return (int64_t)(rate->bytes_per_s * 1000 / BURSTS_PER_S);
}

struct rate rate_init(uint64_t bytes_per_s, uint64_t now_ms)
{
    struct rate rate = { .bytes_per_s = bytes_per_s < RATE_MAX ? bytes_per_s : RATE_MAX,
                         .at_ms = now_ms };

    rate.left = burst_of(&rate);
    return rate;
}

static void fill(struct rate *rate, uint64_t now_ms)
{
    uint64_t passed_ms = now_ms > rate->at_ms ? now_ms - rate->at_ms : 0;
    int64_t burst = burst_of(rate);

    rate->at_ms += passed_ms;
    /* Longer than it takes to fill it from any debt. */
    if (passed_ms > 1000000)
        passed_ms = 1000000;
    rate->left += (int64_t)(passed_ms * rate->bytes_per_s);
    if (rate->left > burst)
        rate->left = burst;
}

bool rate_take(struct rate *rate, size_t size, uint64_t now_ms)
{
    if (rate->bytes_per_s == 0)
        return true;
    fill(rate, now_ms);
    if (rate->left <= 0)
        return false;
    rate->left -= (int64_t)size * 1000;
    return true;
}

void rate_give_back(struct rate *rate, size_t size)
{
    if (rate->bytes_per_s > 0)
        rate->left += (int64_t)size * 1000;
}

uint64_t rate_wait_ms(struct rate *rate, uint64_t now_ms)
{
    if (rate->bytes_per_s == 0)
        return 0;
    fill(rate, now_ms);
    return rate->left > 0 ? 0 : (uint64_t)-rate->left / rate->bytes_per_s + 1;
}

size_t rate_step(const struct rate *rate)
{
    uint64_t step = rate->bytes_per_s == 0 ? SIZE_MAX : rate->bytes_per_s / BURSTS_PER_S;

    return step < STEP_MIN ? STEP_MIN : (size_t)step;
}
