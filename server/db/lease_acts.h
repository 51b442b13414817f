/* SPDX-License-Identifier: MIT */
#pragma once

#include "server/db/leases.h"

struct error;
struct transaction;

/* lease_acts - that a lease began or went, for the files of this folder that make it so. What was
 * done is told by lease_telling.h. */
enum lease_change {
    LEASE_BEGAN,
    LEASE_ENDED,   /* by its holder */
    LEASE_EXPIRED, /* nobody renewed it */
    LEASE_REMOVED, /* by an administrator */
};

/* Who held what where. */
struct lease_told {
    const char *project, *app, *version;
    const char *token_id, *host, *place;
    enum lease_mode mode;
};

/* `transaction_query` of leases with what lease_read() wants, up to and without WHERE. */
#define LEASE_SELECT                                                               \
    "SELECT l.host, l.place, p.name, a.name, v.name, l.state, t.name, l.token_id," \
    " l.mode, l.since, l.renewed_at, l.expires_at FROM leases l"                   \
    " JOIN versions v ON v.id = l.version_id JOIN apps a ON a.id = v.app_id"       \
    " JOIN projects p ON p.id = a.project_id JOIN tokens t ON t.id = l.token_id "

struct rows;
int lease_read(struct rows *rows, struct lease *out, struct error *err);

/* Deletes that row, which was read; it is to be told. */
struct lease_telling;
int lease_take_away(struct transaction *tx, const struct lease *lease, enum lease_change change,
                    struct lease_telling *telling, struct error *err);
