/* SPDX-License-Identifier: MIT */
#include "common/base/clock.h"
#include "common/net/http_private.h"

/* Bodies of all requests share the loop's bucket. One that finds it empty is paused, and goes on by
 * a timer. */

static void wake_throttled(void *context)
{
    struct http_loop *loop = context;

    /* The newest first: changes are carried out in the reverse order of the wishes, so that who has
     * waited longest comes first. */
    while (loop->throttled != NULL) {
        struct http_request *request = loop->throttled;

        http_throttle_forget(request);
        request->wants_resume = true;
        http_request_change(request);
    }
}

void http_throttle_init(struct http_loop *loop, uint64_t bytes_per_s)
{
    loop->rate = rate_init(bytes_per_s, clock_monotonic_ms());
    loop->rate_timer = (struct http_timer){ .function = wake_throttled, .context = loop };
}

bool http_throttle_pass(struct http_request *request, size_t size)
{
    struct http_loop *loop = request->loop;
    uint64_t now;

    if (loop->rate.bytes_per_s == 0)
        return true;
    now = clock_monotonic_ms();
    if (rate_take(&loop->rate, size, now))
        return true;
    if (!request->is_throttled) {
        request->is_throttled = true;
        request->next_throttled = loop->throttled;
        loop->throttled = request;
    }
    /* Without memory for the timer nothing would go on: then the limit is passed over. */
    if (loop->rate_timer.place == 0 &&
        http_timer_set(loop, &loop->rate_timer, now + rate_wait_ms(&loop->rate, now)) < 0) {
        http_throttle_forget(request);
        return true;
    }
    return false;
}

void http_throttle_forget(struct http_request *request)
{
    struct http_request **at = &request->loop->throttled;

    if (!request->is_throttled)
        return;
    while (*at != request)
        at = &(*at)->next_throttled;
    *at = request->next_throttled;
    request->is_throttled = false;
}
