/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct database;
struct error;
struct transaction;

/* audit - who did what. Texts may be NULL; data is JSON. */
struct audit_entry {
    const char *actor; /* token name or "host" */
    const char *token_id;
    const char *address;
    const char *request_id;
    const char *operation; /* "token.create" */
    const char *project, *app, *version;
    const char *result; /* "ok" or a problem's code */
    const char *data;
};

/* What changes the database is told in the same transaction: both are there, or neither. */
int audit_write(struct transaction *tx, const struct audit_entry *entry, struct error *err);

/* What changes nothing (a refusal, a look): in a transaction of its own. */
int audit_add(struct database *database, const struct audit_entry *entry, struct error *err);

/* Forgets up to `limit` entries of before `before_s`, oldest first; *out_count of them. */
int audit_forget(struct database *database, int64_t before_s, size_t limit, size_t *out_count,
                 struct error *err);
