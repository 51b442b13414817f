/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/client/api_client.h"

/*
 * api_hosts - which version is in use on which host, said to the server and asked of it.
 *
 * Answers are checked as in api_versions.h. All calls run the loop until they are done.
 */
struct api_lease {
    const char *host, *place, *project, *app, *version; /* valid inside the callback */
    const char *mode, *state, *token;
    int64_t since_s, renewed_at_s, expires_at_s;
    bool stale; /* missed two renewals */
};

/* Walks every page, by host and place; app and version (needs app) may be NULL, project too.
 * Non-zero of `each` ends it and is returned. */
typedef int api_lease_each(void *context, const struct api_lease *lease, struct error *err);
int api_hosts_list(struct api_client *client, const char *project, const char *app,
                   const char *version, api_lease_each *each, void *context, struct error *err);

/* Says that the version is there: the pull of it, and the lease of its place, both at once. Each is
 * tried once, and not for long: whoever says it has done his work. -ENOENT also of a server that
 * knows no leases. */
struct api_in_use {
    const char *host, *place, *project, *app, *version;
};
/* *out_renew_in_s: when the server wants to hear of the lease again; 0: it did not say. */
int api_hosts_say_pulled(struct api_client *client, const struct api_in_use *what,
                         uint32_t *out_renew_in_s, struct error *err);

/* The lease alone: it is still there. */
int api_hosts_renew(struct api_client *client, const struct api_in_use *what,
                    uint32_t *out_renew_in_s, struct error *err);
