/* SPDX-License-Identifier: MIT */
#include "server/service/event_sequence.h"

#include <errno.h>

#include "server/db/events.h"
#include "server/service/context.h"

#define BATCH 1000
#define LEASE_S 30

int event_sequence_step(struct services *services, size_t *out_count, struct error *err)
{
    size_t total = 0;
    size_t count;
    int r;

    do {
        count = 0;
        r = event_number(services->database, services->holder, LEASE_S, BATCH, &count, err);
        if (r == -EBUSY)
            break;
        if (r < 0)
            return r;
        total += count;
    } while (count == BATCH);
    *out_count = total;
    return 0;
}
