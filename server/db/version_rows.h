/* SPDX-License-Identifier: MIT */
#pragma once

#include "server/db/acts.h"
#include "server/db/transaction.h"
#include "server/db/versions.h"

/* version_rows - versions inside a transaction. */

/* What version_read() reads, with its tables. */
#define VERSION_SELECT                                                                        \
    "SELECT v.id, v.app_id, p.name, a.name, v.name, v.content, v.times, v.tree, v.tree_size," \
    " v.file_count, v.bytes, v.created_at, v.state, v.pinned, v.listing_blob_id,"             \
    " v.times_blob_id, v.tree_blob_id, v.git_commit, v.git_ref, v.vcs_url, v.build_time,"     \
    " v.builder, v.build_url, v.labels, v.pushed_by, v.signatures, v.note, v.trashed_at,"     \
    " v.trashed_by, v.trash_reason"                                                           \
    " FROM versions v JOIN apps a ON a.id = v.app_id JOIN projects p ON p.id = a.project_id "

/* *out is an empty one before; the caller releases it also on failure. */
int version_read(struct rows *rows, struct version *out, struct error *err);

/* 1 and the version, or 0. */
int version_find(struct transaction *tx, int64_t app_id, const char *name, struct version *out,
                 struct error *err);
int version_find_id(struct transaction *tx, int64_t id, struct version *out, struct error *err);

/* A row of that name, ready. Of *version are taken the app, what it has, its metadata, its
 * signatures and its time. The caller spends the name and makes the edges. */
int version_insert(struct transaction *tx, const struct version *version, const char *name,
                   const char *pushed_by, int64_t *out_id, struct error *err);

/* 1: a blob of it is missing or corrupt. Costs nothing as long as none is anywhere. */
int version_is_broken(struct transaction *tx, int64_t id, struct error *err);

/* By names, in any state. -ENOENT: never was; -ESTALE: purged. */
int version_find_named(struct transaction *tx, const char *project, const char *app,
                       const char *name, struct version *out, struct error *err);

/* Out of the trash, with the event; *version is changed too. Nothing when it is ready. Its app and
 * project are there again. -ESTALE: purging; -EINPROGRESS: the app is being deleted. After the
 * commit the caller moves database_version_epoch(). */
int version_restore_in(struct transaction *tx, struct version *version, const struct actor *by,
                       struct error *err);

/* How one goes to the trash. */
struct version_trashing {
    const struct actor *by;
    const char *reason;
    bool force;
    const char *job; /* the id of the job that does it, or NULL */
};

/* To the trash, with the event; of one that is there already nothing. -EBUSY with *out_protection
 * (which says PROTECTION_NONE before) unless forced. The epoch is moved as above. */
int version_trash_in(struct transaction *tx, const struct version *version,
                     const struct version_trashing *how, struct protection *out_protection,
                     struct error *err);
