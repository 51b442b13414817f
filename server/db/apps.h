/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/db/projects.h"

/* apps - the second level of names: a line of versions. */
#define VERSION_NAME_SIZE 129

struct app {
    int64_t id;
    int64_t project_id;
    char project[NAME_SIZE];
    char name[NAME_SIZE];
    int64_t created_at_s;
    uint64_t version_count;         /* ready ones */
    int64_t retain_versions;        /* so many stay (retention.h); -1: not said */
    char latest[VERSION_NAME_SIZE]; /* on channel live, else the newest ready; "" when there is none
                                     */
    char live[VERSION_NAME_SIZE];   /* "" */
};

int app_get(struct database *database, const char *project, const char *name, struct app *out,
            struct error *err);

/* Makes it, and its project, when they are not there. */
int app_put(struct database *database, const char *project, const char *name,
            const struct actor *by, struct app *out, bool *out_created, struct error *err);

/* By name; as project_list. -ENOENT: no such project. */
int app_list(struct database *database, const char *project, const char *only, const char *after,
             size_t limit, struct app **out_items, size_t *out_count, struct error *err);
