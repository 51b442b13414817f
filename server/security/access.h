/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * access - may this token do that there? A pure function of what is passed.
 *
 * A token has a scope (everything, a project, or an app) and permissions; admin
 * implies the others, and no other implies one. A route needs permissions, all of
 * them, on what its path names (nothing, a project, or an app), and says how far
 * its effect goes:
 *   ACCESS_WHOLE     all of what is named: the token's scope must contain it
 *   ACCESS_VISIBLE   only what the token sees is shown or touched (lists): it is
 *                    enough that the scope and what is named overlap
 *
 * What lies outside the token's scope does not exist for it: ACCESS_HIDDEN (404),
 * whatever the permissions. Inside it without the right: ACCESS_FORBIDDEN (403).
 * No token, an ended or revoked one: ACCESS_UNKNOWN, ACCESS_EXPIRED or
 * ACCESS_REVOKED (401), before anything else is looked at.
 */
enum access_permission {
    ACCESS_PULL = 1,
    ACCESS_PUSH = 2,
    ACCESS_PROMOTE = 4,
    ACCESS_ADMIN = 8,
};
#define ACCESS_ALL (ACCESS_PULL | ACCESS_PUSH | ACCESS_PROMOTE | ACCESS_ADMIN)

enum access_reach { ACCESS_WHOLE, ACCESS_VISIBLE };

enum access_answer {
    ACCESS_OK,
    ACCESS_UNKNOWN,   /* 401 unauthenticated */
    ACCESS_EXPIRED,   /* 401 token-expired */
    ACCESS_REVOKED,   /* 401 token-revoked */
    ACCESS_FORBIDDEN, /* 403 insufficient-scope */
    ACCESS_HIDDEN,    /* 404 not-found */
};

struct access_token {
    const char *project; /* NULL: every project */
    const char *app;     /* NULL: every app of the project; never set without it */
    uint32_t permissions;
    int64_t expires_at_s; /* 0: never */
    bool revoked;
};

struct access_need {
    uint32_t permissions; /* 0: open to all, also without a token */
    enum access_reach reach;
};

/* token NULL: none, or one that is not known. app is never given without project. */
enum access_answer access_decide(const struct access_token *token, int64_t now_s,
                                 const struct access_need *need, const char *project,
                                 const char *app);

/* "pull,push" to bits and back, for command lines and JSON. -EINVAL: an unknown, repeated or empty
 * word. */
struct buf;
struct error;
int access_permissions_parse(const char *text, uint32_t *out, struct error *err);
void access_permissions_format(uint32_t permissions, struct buf *out);
/* One name, NULL behind the last: for (i = 0; (name = access_permission_name(permissions, i)); i++)
 */
const char *access_permission_name(uint32_t permissions, unsigned index);
