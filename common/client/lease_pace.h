/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

/*
 * lease_pace - when the server is told next what is in use here.
 *
 * As often as the server wants to hear it, an hour where it says nothing, and a little before: each
 * time is spread over the last fifth, so that hosts which began together do not come together. What
 * failed is said again after again_ms, then after pauses that double up to the time between two
 * renewals; what the server asks for (Retry-After) is waited at least.
 *
 * Times are of one monotonic clock, in ms; random is any 32 bits. Plain data, one thread.
 */
struct lease_pace {
    uint64_t again_ms; /* the first pause after a failure; the caller's to set */
    uint64_t renew_ms; /* between two times, as the server said last; 0: nothing so far */
    uint64_t due_ms;   /* of the next time; UINT64_MAX: never */
    uint32_t failures; /* in a row */
};

/* It was said. renew_in_s 0: the server did not tell when it wants to hear it again. */
void lease_pace_said(struct lease_pace *pace, uint32_t renew_in_s, uint64_t now_ms,
                     uint32_t random);
/* It could not be said. retry_after_ms 0: the server asked for nothing. */
void lease_pace_failed(struct lease_pace *pace, uint64_t retry_after_ms, uint64_t now_ms,
                       uint32_t random);
