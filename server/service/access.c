/* SPDX-License-Identifier: MIT */
#include "server/service/access.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "server/db/database.h"
#include "server/db/tokens.h"
#include "server/security/token_secret.h"
#include "server/security/token_verifier.h"
#include "server/service/context.h"
#include "server/service/memo.h"
#include "server/service/refusal.h"
#include "server/service/services.h"
#include "server/service/token_fact.h"

#define USED_MAX 4096 /* ids remembered between two flushes */

struct identity identity_with_trash(const struct identity *identity)
{
    struct identity seeing = *identity;

    seeing.sees_trash = true;
    return seeing;
}

struct actor caller_actor(const struct caller *caller)
{
    if (caller == NULL)
        return actor_host;
    return (struct actor){ .name = caller->identity.name,
                           .token_id = caller->identity.id,
                           .address = caller->address,
                           .request_id = caller->request_id };
}

static int refuse_unknown(struct refusal *why, struct error *err)
{
    return refusal_set(why, REFUSAL_UNAUTHENTICATED,
                       error_set(err, -EPERM, "the token is not known here"));
}

static void identity_of(const struct token *token, struct identity *out)
{
    memset(out, 0, sizeof(*out));
    memcpy(out->id, token->id, sizeof(out->id));
    memcpy(out->name, token->name, sizeof(out->name));
    memcpy(out->project, token->project, sizeof(out->project));
    memcpy(out->app, token->app, sizeof(out->app));
    out->permissions = token->permissions;
    out->expires_at_s = token->expires_at_s;
}

/* Expiry and revocation of a token whose secret was right: a stranger does not learn either. */
static int check_alive(struct services *services, const struct token *token, struct refusal *why,
                       struct error *err)
{
    if (token->revoked_at_s != 0)
        return refusal_set(why, REFUSAL_TOKEN_REVOKED,
                           error_set(err, -EPERM, "the token was revoked"));
    if (token->expires_at_s != 0 && token->expires_at_s <= services_now(services))
        return refusal_set(why, REFUSAL_TOKEN_EXPIRED,
                           error_set(err, -EPERM, "the token has expired"));
    return 0;
}

/* Written later, by access_flush_used(): a request does not wait for it. */
static void remember_use(struct services *services, const char *id)
{
    pthread_mutex_lock(&services->lock);
    if (services->used_tokens.count < USED_MAX)
        map_set(&services->used_tokens, span_text(id), services, NULL);
    pthread_mutex_unlock(&services->lock);
}

/* The row as it is now. The epoch is read first: a change in between makes the fact look old, never
 * new. */
static int fact_load(struct services *services, const char *id, struct token_fact *out,
                     struct refusal *why, struct error *err)
{
    struct token_fact fact = { .epoch = database_epoch(services->database) };
    int r = token_get(services->database, id, &fact.token, err);

    if (r == -ENOENT)
        return refuse_unknown(why, err);
    if (r < 0)
        return r;
    memo_put(services->tokens, span_text(id), &fact);
    *out = fact;
    return 0;
}

static bool fact_cached(struct services *services, const char *id, struct token_fact *out)
{
    return memo_get(services->tokens, span_text(id), out) &&
           out->epoch == database_epoch(services->database);
}

int access_identify_cached(struct services *services, struct span token, struct identity *out,
                           struct refusal *why, struct error *err)
{
    cleanup(token_secret_wipe) struct token_secret secret;
    struct token_fact fact;
    int r;

    if (token_secret_parse(token, &secret, NULL) < 0) {
        memset(&secret, 0, sizeof(secret));
        return refuse_unknown(why, err);
    }
    if (!fact_cached(services, secret.id, &fact) ||
        token_verifier_knows(services->verifier, &secret, fact.token.hash) != 1)
        return error_set(err, -EAGAIN, "token not known yet");
    r = check_alive(services, &fact.token, why, err);
    if (r < 0)
        return r;
    remember_use(services, secret.id);
    identity_of(&fact.token, out);
    return 0;
}

int access_identify(struct services *services, struct span token, struct identity *out,
                    struct refusal *why, struct error *err)
{
    cleanup(token_secret_wipe) struct token_secret secret;
    struct token_fact fact;
    int r;

    if (token_secret_parse(token, &secret, NULL) < 0) {
        memset(&secret, 0, sizeof(secret));
        return refuse_unknown(why, err);
    }
    if (!fact_cached(services, secret.id, &fact)) {
        r = fact_load(services, secret.id, &fact, why, err);
        if (r < 0)
            return r;
    }
    r = token_verifier_check(services->verifier, &secret, fact.token.hash, err);
    if (r == -EPERM)
        return refuse_unknown(why, err);
    if (r == 0)
        r = check_alive(services, &fact.token, why, err);
    if (r < 0)
        return r;
    remember_use(services, secret.id);
    identity_of(&fact.token, out);
    return 0;
}

bool access_alive(struct services *services, const char *id)
{
    struct token_fact fact;
    int r = 0;

    if (!fact_cached(services, id, &fact))
        r = fact_load(services, id, &fact, NULL, NULL);
    if (r == 0)
        r = check_alive(services, &fact.token, NULL, NULL);
    return r != -EPERM;
}

/* What the token would need. One that has it all is of a place inside of what is asked for. */
static int forbid(uint32_t permissions, const struct identity *identity, struct refusal *why,
                  struct error *err)
{
    cleanup(buf_release) struct buf lacking = buf_init(64);
    const uint32_t has = identity != NULL ? identity->permissions : 0;

    access_permissions_format(permissions & ~has, &lacking);
    if ((has & ACCESS_ADMIN) != 0 || lacking.size == 0)
        error_set(err, -EACCES, "the token is of a part of this only");
    else
        error_set(err, -EACCES, "the token lacks the permission for this: %s", buf_text(&lacking));
    return refusal_set(why, REFUSAL_INSUFFICIENT_SCOPE, -EACCES);
}

int access_check(struct services *services, const struct identity *identity, uint32_t permissions,
                 enum access_reach reach, const char *project, const char *app, struct refusal *why,
                 struct error *err)
{
    const struct access_need need = { .permissions = permissions, .reach = reach };
    struct access_token token = { 0 };

    if (identity != NULL)
        token = (struct access_token){
            .project = identity->project[0] != '\0' ? identity->project : NULL,
            .app = identity->app[0] != '\0' ? identity->app : NULL,
            .permissions = identity->permissions,
            .expires_at_s = identity->expires_at_s,
        };
    switch (access_decide(identity != NULL ? &token : NULL, services_now(services), &need, project,
                          app)) {
    case ACCESS_OK:
        return 0;
    case ACCESS_EXPIRED:
        return refusal_set(why, REFUSAL_TOKEN_EXPIRED,
                           error_set(err, -EPERM, "the token has expired"));
    case ACCESS_REVOKED:
        return refusal_set(why, REFUSAL_TOKEN_REVOKED,
                           error_set(err, -EPERM, "the token was revoked"));
    case ACCESS_FORBIDDEN:
        return forbid(permissions, identity, why, err);
    case ACCESS_HIDDEN:
        return refusal_set(why, REFUSAL_NOT_FOUND, error_set(err, -ENOENT, "not found"));
    case ACCESS_UNKNOWN:
    default:
        return refusal_set(why, REFUSAL_UNAUTHENTICATED,
                           error_set(err, -EPERM, "a token is needed"));
    }
}

int access_flush_used(struct services *services, struct error *err)
{
    cleanup(map_release) struct map used = map_init();
    char id[IDENTITY_ID_SIZE];
    struct span key;
    void *ignored;
    size_t at = 0;
    int result = 0;
    int r;

    pthread_mutex_lock(&services->lock);
    used = services->used_tokens;
    services->used_tokens = map_init();
    pthread_mutex_unlock(&services->lock);
    while (map_next(&used, &at, &key, &ignored)) {
        if (key.size >= sizeof(id))
            continue;
        memcpy(id, key.bytes, key.size);
        id[key.size] = '\0';
        r = token_used(services->database, id, err);
        if (r < 0 && r != -ENOENT)
            result = r;
    }
    return result;
}
