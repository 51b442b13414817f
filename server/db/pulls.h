/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "server/db/acts.h"

struct database;
struct error;

/*
 * pulls - which hosts have pulled which versions: each pair once, for ever.
 *
 * By name: the row outlives the version. A version remembers PULL_HOSTS_MAX hosts; those behind
 * that are not counted.
 */
#define PULL_HOSTS_MAX 10000

struct pull {
    const char *project, *app, *version, *host;
    bool known_only; /* a host that is not known yet is refused */
};

/* The first report of that host writes the event `version.pulled`. *out_counted: it was. -EBUSY: it
 * would have been, and known_only is said. */
int pull_add(struct database *database, const struct pull *pull, const struct actor *by,
             bool *out_counted, struct error *err);
