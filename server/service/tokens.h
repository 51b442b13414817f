/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "server/security/token_secret.h"
#include "server/service/access.h"

/*
 * tokens - made, listed and revoked, by the CLI (and later by the API).
 *
 * The project and the app of a scope need not exist yet. The secret is told once,
 * here, and kept as argon2id only. Permissions as text: access_permissions_parse().
 */
struct token_request {
    const char *name;     /* 1..64 bytes of printable UTF-8 */
    const char *project;  /* NULL: global */
    const char *app;      /* NULL: the whole project */
    uint32_t permissions; /* ACCESS_*, at least one */
    int64_t expires_at_s; /* 0: never */
};

struct token_info {
    struct identity identity;
    int64_t created_at_s;
    int64_t last_used_at_s; /* 0: never */
    int64_t revoked_at_s;   /* 0: valid */
};

/* *out_text: memory_wipe() it when it is shown. caller NULL: the operator on the host. -EINVAL. */
int tokens_create(struct services *services, const struct caller *caller,
                  const struct token_request *request, char out_text[TOKEN_SECRET_TEXT_SIZE],
                  struct token_info *out_info, struct refusal *why, struct error *err);

/* All of them, newest first; memory_free() the array. */
int tokens_list(struct services *services, struct token_info **out_items, size_t *out_count,
                struct error *err);

/* By its public id. Counts at once in every process on this database. 0 also when it was revoked
 * already; -ENOENT. */
int tokens_revoke(struct services *services, const struct caller *caller, const char *id,
                  struct error *err);
