/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/db/acts.h"

struct database;
struct error;

/* projects - the first level of names. Names are checked by the caller (common/model). */
#define NAME_SIZE 64 /* project, app, channel, with the NUL */

struct project {
    int64_t id;
    char name[NAME_SIZE];
    int64_t created_at_s;
    uint64_t app_count;
    int64_t retain_versions; /* of each app, unless it says otherwise; -1: not said */
};

int project_get(struct database *database, const char *name, struct project *out,
                struct error *err);

/* Makes it when it is not there. *out_created may be NULL. */
int project_put(struct database *database, const char *name, const struct actor *by,
                struct project *out, bool *out_created, struct error *err);

/* By name, from behind `after` (NULL: the first), at most `limit`. only: that project alone (NULL:
 * all). *out_items is memory_free()d by the caller; NULL when *out_count is 0. */
int project_list(struct database *database, const char *only, const char *after, size_t limit,
                 struct project **out_items, size_t *out_count, struct error *err);
