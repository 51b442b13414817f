/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

#include "common/base/map.h"
#include "server/db/lease_acts.h"

/*
 * lease_telling - what one transaction did to leases, gathered, and told at its end.
 *
 * An event for each version, host and kind of change, however many places it was at, and one entry
 * of the audit log for each kind of change: who has a thousand leases end and begin writes as much
 * as they have versions. Both name the first places, and say how many there were.
 *
 *     lease_telling_add(&telling, LEASE_BEGAN, &told, err);  as often as needed
 *     lease_telling_write(&telling, tx, by, err);            last, in the same transaction
 */
struct lease_group; /* opaque */

struct lease_telling {
    struct map groups;
    struct lease_group *first, **last; /* in the order in which they came */
};

void lease_telling_init(struct lease_telling *telling);
void lease_telling_release(struct lease_telling *telling); /* leaves an empty one */

int lease_telling_add(struct lease_telling *telling, enum lease_change change,
                      const struct lease_told *told, struct error *err);
int lease_telling_write(struct lease_telling *telling, struct transaction *tx,
                        const struct actor *by, struct error *err);
