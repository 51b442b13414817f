/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct caller;
struct error;
struct json_writer;
struct refusal;
struct services;
struct setting_change;

/*
 * policy - what an administrator decides for a whole installation while it runs: how long what was
 * deleted stays, how many versions stay. One value for all servers of a database, which keeps them
 * (server/db/settings.h); a table in policy.c gives key, limits, default and help.
 */
#define POLICY_TEXT_SIZE 128

struct policy {
    int64_t trash_age_s;      /* a deleted version stays in the trash for so long */
    int64_t collect_grace_s;  /* a blob that nothing refers to stays for so long */
    int64_t retain_versions;  /* of each app, unless it or its project says otherwise */
    int64_t retain_min_age_s; /* a younger version stays */
    int64_t job_age_s;        /* a job that ended is remembered for so long */
    int64_t event_age_s;      /* an event, for who comes back to a stream */
    int64_t audit_age_s;      /* an entry of the audit log */
    /* five fields (common/model/cron.h), "" or "off": retention runs when it is asked for only */
    char retention_schedule[POLICY_TEXT_SIZE];
    char time_zone[POLICY_TEXT_SIZE]; /* of schedules: a name as in Europe/Berlin */
};

#define POLICY_RETAIN_MAX 1000000

/* A value that is no longer allowed counts as the default. */
int policy_get(struct services *services, struct policy *out, struct error *err);

/* Whether the policy has a schedule for retention. */
bool policy_has_schedule(const struct policy *policy);

/* Sets one, written as a user writes it ("7d", "10"); NULL: back to the default. An act of the
 * caller's (NULL: the host's). -EINVAL with the pointer "/KEY": no such key or value. */
int policy_set(struct services *services, const struct caller *caller, const char *key,
               const char *value, struct refusal *why, struct error *err);

/* Several (server/db/settings.h), all of them or none. Each is an act of its own. */
int policy_change(struct services *services, const struct caller *caller,
                  const struct setting_change *changes, size_t count, struct refusal *why,
                  struct error *err);

/* A key, for those who show all. */
struct policy_entry {
    const char *key, *kind, *help; /* kind: "count", "time" or "text" */
    const char *fallback;          /* the default, as a user writes it */
    char value[POLICY_TEXT_SIZE];
    int64_t max;          /* a count, seconds, or bytes of a text */
    int64_t updated_at_s; /* 0: it is the default */
    char updated_by[65];
};
size_t policy_key_count(void);
/* All keys as they stand at one moment: out has room for policy_key_count(). */
int policy_entries_get(struct services *services, struct policy_entry *out, struct error *err);
