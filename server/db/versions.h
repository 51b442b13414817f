/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/codec/digest.h"
#include "server/db/acts.h"
#include "server/db/apps.h"
#include "server/db/blobs.h"
#include "server/db/protection.h"

/*
 * versions - trees under names that never change.
 *
 * A purged version has no row; its name is spent for ever (names.h), and asking
 * for it gives -ESTALE.
 */
enum version_state { VERSION_READY, VERSION_TRASHED, VERSION_PURGING };

/* What a pusher says about a version. Texts may be NULL. */
struct version_metadata {
    char *git_commit, *git_ref, *vcs_url, *builder, *build_url;
    int64_t build_time_s;
    bool has_build_time;
    char *labels; /* a JSON object of texts, or NULL */
};

struct version {
    int64_t id;
    int64_t app_id;
    char project[NAME_SIZE];
    char app[NAME_SIZE];
    char name[VERSION_NAME_SIZE];
    struct digest content, times, tree; /* tree: the verity digest of the tree image */
    uint64_t tree_size;
    uint64_t file_count, bytes;
    int64_t created_at_s;
    enum version_state state;
    bool pinned;
    int64_t listing_blob_id, times_blob_id, tree_blob_id; /* blob_get() */
    struct version_metadata metadata;
    char *pushed_by;      /* or NULL */
    char *signatures;     /* a JSON array, or NULL */
    char *note;           /* or NULL */
    int64_t trashed_at_s; /* 0: not in the trash */
    char *trashed_by;
    char *trash_reason; /* or NULL */
};

struct version version_empty(void);
void version_release(struct version *version); /* for cleanup(); leaves an empty one */
void version_metadata_release(struct version_metadata *metadata);
const char *version_state_name(enum version_state state);

/* By exact name, in any state (look at it). -ENOENT never was; -ESTALE purged. */
int version_get(struct database *database, const char *project, const char *app, const char *name,
                struct version *out, struct error *err);

/* `latest`: the one on channel live, else the newest ready. -ENOENT: none. */
int version_latest(struct database *database, const char *project, const char *app,
                   struct version *out, struct error *err);

/* The one that a channel points at. */
int version_on_channel(struct database *database, const char *project, const char *app,
                       const char *channel, struct version *out, struct error *err);

/* Ready ones, newest first (created_at_s, then id). Starts behind (before_s, before_id); before_id
 * 0: the newest. -ENOENT: no such app. Release with version_list_free(). */
int version_list(struct database *database, const char *project, const char *app, int64_t before_s,
                 int64_t before_id, size_t limit, struct version **out_items, size_t *out_count,
                 struct error *err);
/* The same of those in the trash, trashed last first (trashed_at_s, then id). */
int version_list_trash(struct database *database, const char *project, const char *app,
                       int64_t before_s, int64_t before_id, size_t limit,
                       struct version **out_items, size_t *out_count, struct error *err);
struct version *version_list_free(struct version *items, size_t count); /* returns NULL */

/* Until when that token holds a lease on it; 0: it holds none. */
int version_leased_to(struct database *database, int64_t id, const char *token_id,
                      int64_t *out_expires_at_s, struct error *err);

/* What may be changed of a version, beside its state. Of `set_...` false: left as it is. */
struct version_change {
    bool set_pinned, pinned;
    bool set_labels, set_note;
    const char *labels; /* a JSON object of texts, or NULL: none */
    const char *note;   /* NULL: none */
    struct actor by;
};

/* With the event, when anything is another now. *out is the version as it is then. -ENOENT. */
int version_change(struct database *database, int64_t id, const struct version_change *change,
                   struct version *out, struct error *err);

/* To the trash and back, with the event. Trash of a trashed one, restore of a ready one: 0.
 * -ENOENT, -ESTALE: it was purged since it was found. Protected: -EBUSY with *out_protection (which
 * may be NULL) unless forced. A restore brings app and project back, if they were deleted;
 * -EINPROGRESS: they are being deleted. */
int version_trash(struct database *database, int64_t id, const struct actor *by, const char *reason,
                  bool force, struct protection *out_protection, struct error *err);
int version_restore(struct database *database, int64_t id, const struct actor *by,
                    struct error *err);
