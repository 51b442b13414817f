/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/model/names.h"
#include "server/db/acts.h"
#include "server/security/access.h"

struct error;
struct refusal;
struct services;

/*
 * access - who is it, and may he.
 *
 * A token `kka_<id>_<secret>` is looked up by its id; the secret is checked by
 * argon2id once per process, later by a keyed hash. Every call compares the
 * revocation epoch and the expiry, so a revoked token stops at once, also when
 * another process revoked it.
 *
 * Scope: global (project ""), one project (app ""), one app. What a token may not
 * see is -ENOENT; what it sees without the permission is -EACCES. The decision
 * itself is security/access.h.
 */
#define IDENTITY_ID_SIZE 13

struct identity {
    char id[IDENTITY_ID_SIZE]; /* the public part of the token */
    char name[65];             /* what the operator called it */
    char project[NAME_TEXT_SIZE];
    char app[NAME_TEXT_SIZE];
    uint32_t permissions; /* ACCESS_PULL ... */
    int64_t expires_at_s; /* 0: never */
    bool sees_trash;      /* of this request, not of the token: it asks with ?trashed=1 */
};

/* Who asks, and under which request: what events and the audit log keep. */
struct caller {
    struct identity identity;
    char request_id[65];
    char address[48];
};

/* The same, and it asks for what is in the trash, too. */
struct identity identity_with_trash(const struct identity *identity);

/* As the database's functions want it: lives as long as the caller's texts. NULL: the host. */
struct actor caller_actor(const struct caller *caller);

/* Blocks (argon2 at the first sight of a token). -EPERM with *why. */
int access_identify(struct services *services, struct span token, struct identity *out,
                    struct refusal *why, struct error *err);

/* Never blocks. 0 and *out; -EAGAIN: not known here or not any more, ask access_identify() on a
 * worker; -EPERM with *why: known to have expired or to be no token at all. */
int access_identify_cached(struct services *services, struct span token, struct identity *out,
                           struct refusal *why, struct error *err);

/* May `identity` (NULL: nobody) do that there? permissions: ACCESS_* bits, all of them needed; 0:
 * open to all. project NULL: something global; app NULL: the project itself. 0, -EPERM, -EACCES or
 * -ENOENT with *why. Never blocks. */
int access_check(struct services *services, const struct identity *identity, uint32_t permissions,
                 enum access_reach reach, const char *project, const char *app, struct refusal *why,
                 struct error *err);

/* Is the token of that id neither revoked nor expired? Blocks when tokens changed since it was last
 * looked at. What cannot be found out for now counts as yes: it was let in once. */
bool access_alive(struct services *services, const char *id);

/* Writes the times of last use that were remembered since. A job calls it. */
int access_flush_used(struct services *services, struct error *err);
