/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/db/leases.h"
#include "server/service/projects.h"

/*
 * leases - which version is in use on which host, and who has pulled it.
 *
 * A host is named by 1 to 128 of [A-Za-z0-9._-], a letter or digit first; a place on it by any text
 * of 1 to 1024 bytes, its path as a rule; the state is a short word in lower case (a mount says
 * `remote`, `partial` or `complete`, a pull `complete`). Versions are named exactly: neither
 * `latest` nor a channel says which one is there.
 *
 * What begins, goes or is counted costs the token of its budget (act_budget.h); renewals do not.
 */
#define LEASES_PUT_MAX 1000 /* in one request */
#define LEASES_TOKEN_MAX 10000
#define LEASES_RENEW_S 3600 /* when the next renewal is due */
#define LEASES_STALE_S 7200 /* two of them were missed */
#define LEASES_LIFE_S (30 * 24 * 3600)

struct lease_said {
    const char *project, *app, *version, *place, *mode, *state; /* NULL: not said */
    int64_t since_s;                                            /* 0: not said */
};

struct leases_request {
    const char *host;
    const struct lease_said *items;
    size_t count;
    bool replace;       /* what the token holds there and the items do not name goes */
    const char *within; /* only at that place and below it; NULL: on the whole host */
};

/* All or nothing. *out_expires_at_s: when they end if nobody renews them. -EINVAL; -ENOENT,
 * -ESTALE with the item's pointer; -EBUSY (REFUSAL_TOO_MANY_LEASES); -EAGAIN
 * (REFUSAL_RATE_LIMITED): the budget is used up. Blocks. */
int leases_put(struct services *services, const struct caller *caller,
               const struct leases_request *request, int64_t *out_expires_at_s, struct refusal *why,
               struct error *err);

struct lease_page {
    struct lease *items;
    size_t count;
    char next_cursor[CURSOR_SIZE];
};
void lease_page_release(struct lease_page *page);

/* Those of versions that the identity sees, by host and place. */
int leases_list(struct services *services, const struct identity *identity,
                const struct lease_filter *filter, const struct page_request *request,
                struct lease_page *out, struct refusal *why, struct error *err);
bool leases_is_stale(const struct services *services, const struct lease *lease);

/* ADMIN of everything. -ENOENT: nobody holds anything there. */
int leases_remove(struct services *services, const struct caller *caller, const char *host,
                  const char *place, struct refusal *why, struct error *err);

struct pull_report {
    char version[VERSION_TEXT_SIZE];
    bool counted; /* the first of this host for this version */
};

/* -EAGAIN as above, of a host that would be new. */
int leases_report_pull(struct services *services, const struct caller *caller, const char *project,
                       const char *app, const char *reference, const char *host,
                       struct pull_report *out, struct refusal *why, struct error *err);

/* Takes away what has expired. A job calls it. */
int leases_expire(struct services *services, size_t *out_count, struct error *err);

int leases_count(struct services *services, struct lease_counts *out, struct error *err);
