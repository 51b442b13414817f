/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

struct caller;
struct error;
struct json_writer;
struct refusal;
struct services;

/*
 * policy - what an administrator decides for a whole installation while it runs: how long what was
 * deleted stays, how many versions stay. One value for all servers of a database, which keeps them
 * (server/db/settings.h); a table in policy.c gives key, limits, default and help.
 */
struct policy {
    int64_t trash_age_s;      /* a deleted version stays in the trash for so long */
    int64_t collect_grace_s;  /* a blob that nothing refers to stays for so long */
    int64_t retain_versions;  /* of each app, unless it or its project says otherwise */
    int64_t retain_min_age_s; /* a younger version stays */
    int64_t job_age_s;        /* a job that ended is remembered for so long */
};

#define POLICY_RETAIN_MAX 1000000

/* A value that is no longer allowed counts as the default. */
int policy_get(struct services *services, struct policy *out, struct error *err);

/* Sets one, written as a user writes it ("7d", "10"); NULL: back to the default. An act of the
 * caller's (NULL: the host's). -EINVAL with the pointer "/KEY": no such key or value. */
int policy_set(struct services *services, const struct caller *caller, const char *key,
               const char *value, struct refusal *why, struct error *err);
