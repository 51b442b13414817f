/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/db/acts.h"
#include "server/db/versions.h"

/*
 * pushes - a version in the making: nothing of it can be seen before the commit.
 *
 * A push belongs to the token that opened it and to an app. It lives 6 hours from
 * the last request (push_renew) and at most 24 from the first; its end, whatever
 * the reason, takes its holds, writes its unfinished objects to the tombstones
 * and makes the others candidates for collection. Blobs: push_blobs.h.
 *
 * The order of a push: push_open, push_blob_hold or push_blobs_want + push_blob_done
 * for listing and times, push_blobs_want for the files in batches, push_part_set
 * for the listing *after* the last batch (it says: the wanted set is complete),
 * for times, for the tree image; push_commit.
 */
#define PUSH_ID_SIZE 33 /* 32 hex digits and a NUL */
#define PUSH_LEASE_S (6 * 3600)
#define PUSH_LIFE_S (24 * 3600)

struct push {
    int64_t number; /* the row, for the other calls */
    char id[PUSH_ID_SIZE];
    int64_t app_id;
    char project[NAME_SIZE];
    char app[NAME_SIZE];
    char token_id[13];
    char version[VERSION_NAME_SIZE]; /* "": not named yet */
    bool has_content, has_times;
    struct digest content, times;
    int64_t listing_blob_id, times_blob_id, tree_blob_id; /* 0: not there yet */
    int64_t created_at_s, expires_at_s;
    char *base;     /* the version this one is near to, or NULL */
    char *metadata; /* JSON as it was given to push_open, or NULL */
};

struct push push_empty(void);
void push_release(struct push *push); /* for cleanup(); leaves an empty one */

struct push_opening {
    const char *project, *app;
    const char *token_id;
    struct actor by;
    const char *version;          /* NULL: not named yet */
    const struct digest *content; /* NULL: not known yet */
    const struct digest *times;   /* NULL */
    const char *base;             /* NULL */
    const char *metadata;         /* JSON or NULL */
};

enum push_answer {
    PUSH_ANSWER_OPENED,   /* .push */
    PUSH_ANSWER_CREATED,  /* .version (commit) */
    PUSH_ANSWER_EXISTS,   /* the same content is there under this name: .version; restored if in the
                             trash */
    PUSH_ANSWER_CONFLICT, /* the name is spent on other content: .existing */
    PUSH_ANSWER_MISSING, /* .missing blobs are not there (commit); listing, times and tree count too
                          */
};

struct push_result {
    enum push_answer answer;
    struct push push;
    struct version version;
    struct digest existing;
    uint64_t missing;
};
void push_result_release(struct push_result *result); /* for cleanup() */

/* Makes project and app when they are not there (the caller has judged the right to). The answer is
 * OPENED, EXISTS (only when version and content are given) or CONFLICT (likewise). -EINPROGRESS: it
 * is being deleted. Release *out. */
int push_open(struct database *database, const struct push_opening *opening,
              struct push_result *out, struct error *err);

/* -ENOENT: unknown, ended, or another token's or app's. */
int push_get(struct database *database, const char *project, const char *app, const char *id,
             const char *token_id, struct push *out, struct error *err);

/* The lease from now on; writes only when it would move by more than a minute. -ENOENT: ended. */
int push_renew(struct database *database, struct push *push, struct error *err);

enum push_part { PUSH_PART_LISTING, PUSH_PART_TIMES, PUSH_PART_TREE };

/* The push's listing, times or tree image is the blob `sha256` that it holds, live (else -ENOENT).
 * For the listing this also sets the push's content, for times its times. -EEXIST: it has another
 * one. */
int push_part_set(struct database *database, int64_t number, enum push_part part,
                  const struct digest *sha256, struct error *err);

struct push_commit {
    int64_t number;
    const char *version; /* the name it gets */
    struct digest content, times, tree;
    uint64_t tree_size, file_count, bytes;
    const struct version_metadata *metadata;
    struct actor by;
};

/* One transaction: every wanted blob held by this push, live, of the right size; the version, its
 * edges, the spent name, the event; the push goes, its holds with it. Answer CREATED, EXISTS (the
 * push goes too), CONFLICT or MISSING (the push stays). -ENOENT: no such push. -EINVAL: content or
 * times differ from the push's parts. -EINPROGRESS: the app is being deleted (the push stays); one
 * that was deleted since the push began is made again. */
int push_commit(struct database *database, const struct push_commit *commit,
                struct push_result *out, struct error *err);

/* Ends it. The objects to remove are in tombstones.h now. */
int push_abandon(struct database *database, int64_t number, struct error *err);

/* Ends up to `limit` pushes whose lease is over; *out_count of them. Call until it is 0. */
int push_expire(struct database *database, size_t limit, size_t *out_count, struct error *err);

int push_open_count(struct database *database, uint64_t *out_count, struct error *err);
