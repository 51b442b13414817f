/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/db/acts.h"
#include "server/db/versions.h"

/*
 * leases - a host says: this version is in use here.
 *
 * A lease is what a token said of one place of one host; nobody else's token writes it. It ends
 * with its time (an expired row counts nowhere, and lease_expire() takes it away), by its holder,
 * or by an administrator; a version that is leased is not purged. When one begins or goes that is
 * an act (lease_telling.h), with its event `lease.changed` (`lease.removed` when an administrator
 * did it); a renewal is none, and costs one statement for all places together.
 */
#define LEASE_HOST_SIZE 129
#define LEASE_PLACE_SIZE 1025
#define LEASE_STATE_SIZE 33
#define LEASE_TOKEN_NAME_SIZE 65

enum lease_mode { LEASE_PULL, LEASE_MOUNT, LEASE_ATTACH };
const char *lease_mode_name(enum lease_mode mode);            /* "pull", "mount", "attach" */
int lease_mode_parse(const char *text, enum lease_mode *out); /* 0, or -EINVAL without words */

/* What is said of one place. The names are those of version_id, for the acts. */
struct lease_item {
    int64_t version_id;
    const char *project, *app, *version;
    const char *place;
    enum lease_mode mode;
    const char *state;
    int64_t since_s; /* 0: not said; that of the lease which is there, else now */
};

struct lease_put {
    const char *token_id, *host;
    const struct lease_item *items; /* no place twice */
    size_t count;
    /* true: what the token holds on this host, and the items do not name, goes. */
    bool replace;
    /* Only that place and those below it ("/srv": "/srv/a", not "/srv2") are meant by `replace`;
     * NULL: the whole host. Without a '/' at its end. */
    const char *within;
    uint64_t life_s;
    uint64_t token_max; /* so many at once on all hosts of the token */
    size_t changes_max; /* so many may begin or go now; renewals do not count */
    struct actor by;
};

struct lease_put_result {
    size_t failed;    /* of an error -ESTALE: the item */
    size_t changes;   /* leases that began or went, or would have: */
    bool is_too_much; /* of an error -EAGAIN: that are more than changes_max */
    int64_t expires_at_s;
};

/* One transaction. -ESTALE: the version of items[out->failed] is gone for ever; -EBUSY: more than
 * token_max; -EAGAIN with out->is_too_much: more than changes_max. */
int lease_put(struct database *database, const struct lease_put *put, struct lease_put_result *out,
              struct error *err);

struct lease {
    char host[LEASE_HOST_SIZE];
    char place[LEASE_PLACE_SIZE];
    char project[NAME_SIZE];
    char app[NAME_SIZE];
    char version[VERSION_NAME_SIZE];
    char state[LEASE_STATE_SIZE];
    char token_name[LEASE_TOKEN_NAME_SIZE];
    char token_id[13];
    enum lease_mode mode;
    int64_t since_s, renewed_at_s, expires_at_s;
};

/* NULL: any. */
struct lease_filter {
    const char *project, *app, *version, *state;
};

/* Where a page goes on: behind that lease. Empty host: the start. */
struct lease_position {
    char host[LEASE_HOST_SIZE];
    char place[LEASE_PLACE_SIZE];
    char token_id[13];
};

/* Unexpired ones, in the order of host, place and token, byte by byte. memory_free() the items. */
int lease_list(struct database *database, const struct lease_filter *filter,
               const struct lease_position *after, size_t limit, struct lease **out_items,
               size_t *out_count, struct error *err);

/* Whoever's it is. *out_count: how many tokens had said it. */
int lease_remove(struct database *database, const char *host, const char *place,
                 const struct actor *by, size_t *out_count, struct error *err);

/* Takes away at most `limit` that have expired; *out_count of them. */
int lease_expire(struct database *database, size_t limit, size_t *out_count, struct error *err);

/* Unexpired leases, those of them that were last renewed before `stale_s` seconds ago, hosts. */
struct lease_counts {
    uint64_t leases, stale, hosts;
};
int lease_count(struct database *database, uint64_t stale_s, struct lease_counts *out,
                struct error *err);

struct transaction;

/* For who decides whether a version may go: the hosts that hold it by an unexpired lease, by name,
 * at most `limit` (each once) into `out`. *out_total: how many there are. */
int lease_hosts(struct transaction *tx, int64_t version_id, size_t limit,
                char (*out)[LEASE_HOST_SIZE], size_t *out_count, uint64_t *out_total,
                struct error *err);

/* What has expired of a version that is purged goes with it: the database refuses to drop a version
 * that is referred to. */
int lease_drop_version(struct transaction *tx, int64_t version_id, const struct actor *by,
                       struct error *err);
