/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/db/acts.h"
#include "server/db/apps.h"

struct database;
struct error;

/*
 * retention - which ready versions are too many, and taking them to the trash.
 *
 * Of each app the newest N stay (its own N, else its project's, else the rules'), and what is
 * promoted on a channel or was before that, is pinned, is leased, or is younger than the rules say.
 * One selection judges: what it shows in a read transaction is what it takes in a write one, and
 * there it is asked again, so that a promotion, a pin or a lease that came first protects.
 */
enum retention_verdict {
    RETENTION_GOES,
    RETENTION_NEWEST,   /* among the newest N */
    RETENTION_PROMOTED, /* on a channel */
    RETENTION_PREVIOUS, /* the one before on a channel */
    RETENTION_PINNED,
    RETENTION_LEASED,
    RETENTION_YOUNG,
    RETENTION_VERDICT_COUNT
};

/* "beyond-newest", "newest", "promoted", "previous", "pinned", "leased", "min-age". */
const char *retention_verdict_name(enum retention_verdict verdict);

struct retention_rules {
    int64_t keep; /* N where neither app nor project says another */
    int64_t min_age_s;
};

/* NULL or "": of everything; app needs project. */
struct retention_scope {
    const char *project, *app;
};

struct retained {
    int64_t id, app_id;
    char project[NAME_SIZE], app[NAME_SIZE], version[VERSION_NAME_SIZE];
    int64_t created_at_s;
    uint64_t place, keep; /* the place-th newest of its app, of which `keep` stay */
    enum retention_verdict verdict;
    uint64_t unique_bytes; /* of blobs that no other version has */
};

#define RETENTION_BYTES_SHARE 10

struct retention_sum {
    uint64_t counts[RETENTION_VERDICT_COUNT]; /* versions by verdict */
    uint64_t bytes;                           /* that no ready version would have any more */
    uint64_t all_bytes;                       /* of the whole store */
    /* An app makes room for what was pushed to it, and lets go what has come of age, since the last
     * run of everything that was done began: so many of its versions, the oldest that go, are
     * expected, and what is more is excess. Without such a run in the history all of it is. */
    uint64_t excess_bytes; /* of `bytes`, what the expected ones alone would not give; where `bytes`
                            * is at most that share of all, it is not looked at, and all of it */
    /* The app whose excess is more than a fifth of its versions, and more than five: the one that
     * has most. "" when there is none. */
    char project[NAME_SIZE], app[NAME_SIZE];
    uint64_t app_goes, app_ready;
};

int retention_count(struct database *database, const struct retention_rules *rules,
                    const struct retention_scope *scope, struct retention_sum *out,
                    struct error *err);

/* Where a list goes on: behind that version of that app. Zeros: at the start. */
struct retention_place {
    int64_t app_id, version_id;
};

/* Those beyond the newest N, by app, the oldest first: those that go with those that something
 * protects; and the sum, of one moment. memory_free(*out_items), NULL when *out_count is 0. */
int retention_look(struct database *database, const struct retention_rules *rules,
                   const struct retention_scope *scope, const struct retention_place *after,
                   size_t limit, struct retained **out_items, size_t *out_count,
                   struct retention_sum *out_sum, struct error *err);

/* The apps of the scope that have something to take, behind the app `after` (0: the first). Looks
 * at `limit` apps: *out_last is the last of them, 0 when there are no more. */
struct retention_app {
    int64_t id;
    char project[NAME_SIZE], app[NAME_SIZE];
    uint64_t goes;
};
int retention_apps(struct database *database, const struct retention_rules *rules,
                   const struct retention_scope *scope, int64_t after, size_t limit,
                   struct retention_app *out_items, size_t *out_count, int64_t *out_last,
                   struct error *err);

/* Takes up to `limit` versions of one app to the trash, the oldest first: events and audit by `by`,
 * the reason is "retention". They are out_items, which has room for `limit`; unique_bytes is not
 * counted. */
int retention_take(struct database *database, const struct retention_rules *rules,
                   const struct retention_scope *app, size_t limit, const struct actor *by,
                   struct retained *out_items, size_t *out_count, struct error *err);

/* Of those that one call took: the bytes that no ready version has since. It takes longer than the
 * taking, and is no part of its transaction. */
int retention_freed(struct database *database, const struct retained *items, size_t count,
                    uint64_t *out_bytes, struct error *err);

/* How many versions of a project's apps (app NULL), or of an app, stay; -1: as what is above says.
 * An act: `project.set` or `app.set`, with the event `project.changed` or `app.changed`. What is so
 * already: 0, and no act. -ENOENT: there is no such place. */
#define RETENTION_INHERIT ((int64_t)-1)
int retention_override(struct database *database, const char *project, const char *app,
                       int64_t keep, const struct actor *by, struct error *err);
