/* SPDX-License-Identifier: MIT */
#pragma once

#include "server/db/pushes.h"
#include "server/db/transaction.h"

/* push_rows - pushes inside a transaction. */

/* What push_read() reads, with its tables. */
#define PUSH_SELECT                                                                               \
    "SELECT s.number, s.id, s.app_id, p.name, a.name, s.token_id, s.version, s.content, s.times," \
    " s.listing_blob_id, s.times_blob_id, s.tree_blob_id, s.created_at, s.expires_at, s.base,"    \
    " s.metadata FROM pushes s JOIN apps a ON a.id = s.app_id"                                    \
    " JOIN projects p ON p.id = a.project_id "

/* *out is an empty one before; the caller releases it also on failure. */
int push_read(struct rows *rows, struct push *out, struct error *err);

/* What is to be a version's name. */
struct push_name {
    const char *project, *app, *version;
    int64_t app_id; /* 0: the app may not be there */
};

/* What the name says of this content: 1 and the answer, which is CONFLICT with .existing, or EXISTS
 * with .version, that may be in the trash still; 0: free, or purged with this content. */
int push_known(struct transaction *tx, const struct push_name *name, const struct digest *content,
               struct push_result *result, struct error *err);

/* One whose lease is not over; -ENOENT else. */
int push_find(struct transaction *tx, int64_t number, struct push *out, struct error *err);
int push_require_alive(struct transaction *tx, int64_t number, struct error *err);

/* Takes the push and its holds away. Unfinished blobs: row gone, key in the tombstones. The others:
 * they become candidates when `abandoned` (after a commit edges hold them). */
int push_end(struct transaction *tx, int64_t number, bool abandoned, struct error *err);
