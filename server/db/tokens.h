/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/db/acts.h"

struct database;
struct error;

/*
 * tokens - who may do what. Scope by name: a token may be made before its project.
 *
 * Rows are never deleted (pushes and audit speak of them); `revoked_at_s` ends one.
 * Creating and revoking move database_epoch().
 */
struct token {
    char id[13];
    char hash[128]; /* PHC string */
    char name[65];
    char project[64], app[64]; /* "": every one */
    uint32_t permissions;      /* bits of security/access.h */
    int64_t created_at_s;
    int64_t expires_at_s; /* 0: never */
    int64_t revoked_at_s; /* 0: not */
    int64_t last_used_s;  /* 0: never */
};

/* token->created_at_s is set by the database. -EEXIST: the id is taken. */
int token_create(struct database *database, const struct token *token, const struct actor *by,
                 struct error *err);
int token_get(struct database *database, const char *id, struct token *out, struct error *err);

/* By creation, newest first; all of them. memory_free() the items. */
int token_list(struct database *database, struct token **out_items, size_t *out_count,
               struct error *err);

/* Revoked before: 0. */
int token_revoke(struct database *database, const char *id, const struct actor *by,
                 struct error *err);

/* Remembers the use; writes only when the last one is more than a minute older. */
int token_used(struct database *database, const char *id, struct error *err);
