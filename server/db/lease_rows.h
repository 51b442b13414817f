/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/map.h"
#include "server/db/leases.h"

/*
 * lease_rows - the rows that a lease_put speaks of: those of its places, or, with `replace`, all of
 * the token on that host (`within`: there). Loaded at the begin of its transaction, renewed at its
 * end.
 */
struct lease_row {
    int64_t version_id;
    int64_t since_s;
    enum lease_mode mode;
    char state[LEASE_STATE_SIZE];
    bool live;  /* not expired */
    bool named; /* by an item; the caller's */
};

struct lease_rows {
    const struct lease_put *put;
    int64_t now, expires_at; /* of this transaction, from its load on */
    struct map by_place;     /* place -> struct lease_row * */
    /* of `within`: what is below it */
    char first[LEASE_PLACE_SIZE + 1], last[LEASE_PLACE_SIZE + 1];
};

void lease_rows_init(struct lease_rows *rows, const struct lease_put *put);
void lease_rows_release(struct lease_rows *rows);

/* Also again, in another try of the transaction. */
int lease_rows_load(struct lease_rows *rows, struct transaction *tx, struct error *err);
/* Those that are there by now: with `replace`, all of them are named. */
int lease_rows_renew(struct lease_rows *rows, struct transaction *tx, struct error *err);
