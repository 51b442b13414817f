/* SPDX-License-Identifier: MIT */
#include "server/service/event_sequence.h"

#include <errno.h>

#include "server/db/events.h"
#include "server/service/context.h"

#define BATCH 1000
/* Two that number at once only get in each other's way, and after the end of one (a restart) the
 * other waits so long. */
#define LEASE_S 3

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
