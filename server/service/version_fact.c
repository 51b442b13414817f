/* SPDX-License-Identifier: MIT */
#include "server/service/version_fact.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/model/version_ref.h"
#include "server/db/database.h"
#include "server/service/access.h"
#include "server/service/context.h"
#include "server/service/memo.h"
#include "server/service/refusal.h"

#define FACT_KEY_MAX (2 * NAME_TEXT_SIZE + VERSION_TEXT_SIZE)

static int refuse(struct refusal *why, struct error *err)
{
    return refusal_set(why, REFUSAL_NOT_FOUND, error_set(err, -ENOENT, "no such version"));
}

/* P/A/V, which no other three names give: names hold no '/'. Empty when they are too long to be
 * names. */
static struct span fact_key(const char *project, const char *app, const char *version,
                            char out[FACT_KEY_MAX])
{
    size_t project_size = strlen(project), app_size = strlen(app), version_size = strlen(version);

    if (project_size >= NAME_TEXT_SIZE || app_size >= NAME_TEXT_SIZE ||
        version_size >= VERSION_TEXT_SIZE)
        return span_of(out, 0);
    memcpy(out, project, project_size);
    out[project_size] = '/';
    memcpy(out + project_size + 1, app, app_size);
    out[project_size + 1 + app_size] = '/';
    memcpy(out + project_size + app_size + 2, version, version_size);
    return span_of(out, project_size + app_size + version_size + 2);
}

static int resolved(struct version *version, int r, struct refusal *why, struct error *err)
{
    if (r == 0 && version->state == VERSION_PURGING) {
        version_release(version);
        r = -ESTALE;
    }
    if (r == -ENOENT)
        return refuse(why, err);
    if (r == -ESTALE)
        return refusal_set(why, REFUSAL_PURGED,
                           error_set(err, r, "this version was removed for ever"));
    return r;
}

/* A token's lease on a version: both have a fixed size. */
struct lease_key {
    char token_id[IDENTITY_ID_SIZE];
    uint8_t version_id[sizeof(int64_t)];
};

static struct lease_key lease_key_of(const struct identity *identity, int64_t version_id)
{
    struct lease_key key;

    memset(&key, 0, sizeof(key));
    memcpy(key.token_id, identity->id, strnlen(identity->id, sizeof(key.token_id)));
    memcpy(key.version_id, &version_id, sizeof(version_id));
    return key;
}

/* Without asking the database. */
static bool may_see_cached(struct services *services, const struct identity *identity,
                           int64_t version_id)
{
    struct lease_fact fact;
    struct lease_key key;

    if (identity == NULL)
        return false;
    if (identity->sees_trash)
        return true;
    key = lease_key_of(identity, version_id);
    return memo_get(services->leases, span_of(&key, sizeof(key)), &fact) &&
           fact.expires_at_s > services_now(services) &&
           clock_monotonic_ms() - fact.seen_ms <= VERSION_FACT_LIFE_MS;
}

static int may_see(struct services *services, const struct identity *identity, int64_t version_id,
                   struct refusal *why, struct error *err)
{
    struct lease_fact fact = { .seen_ms = clock_monotonic_ms() };
    struct lease_key key;
    int r;

    if (may_see_cached(services, identity, version_id))
        return 0;
    if (identity != NULL) {
        r = version_leased_to(services->database, version_id, identity->id, &fact.expires_at_s,
                              err);
        if (r < 0)
            return r;
    }
    if (fact.expires_at_s == 0)
        return refusal_set(why, REFUSAL_NOT_FOUND,
                           error_set(err, -ENOENT, "this version is in the trash"));
    key = lease_key_of(identity, version_id);
    memo_put(services->leases, span_of(&key, sizeof(key)), &fact);
    return 0;
}

int version_resolve(struct services *services, const struct identity *identity, const char *project,
                    const char *app, const char *reference, struct version *out,
                    struct refusal *why, struct error *err)
{
    struct version_ref ref = { 0 };
    int r;

    if (version_ref_parse_version(span_text(reference), &ref, NULL) < 0)
        return refuse(why, err);
    if (ref.kind == VERSION_REF_LATEST)
        r = version_latest(services->database, project, app, out, err);
    else if (ref.kind == VERSION_REF_CHANNEL)
        r = version_on_channel(services->database, project, app, ref.channel, out, err);
    else
        r = version_get(services->database, project, app, ref.version, out, err);
    r = resolved(out, r, why, err);
    if (r == 0 && out->state != VERSION_READY) {
        r = may_see(services, identity, out->id, why, err);
        if (r < 0)
            version_release(out);
    }
    return r;
}

int version_resolve_exact(struct services *services, const char *project, const char *app,
                          const char *name, struct version *out, struct refusal *why,
                          struct error *err)
{
    struct version_ref ref = { 0 };

    if (version_ref_parse_version(span_text(name), &ref, NULL) < 0)
        return refuse(why, err);
    if (ref.kind != VERSION_REF_VERSION)
        return refusal_at(why, "",
                          error_set(err, -EINVAL, "a version is changed by its exact name"));
    return resolved(out, version_get(services->database, project, app, name, out, err), why, err);
}

int version_fact_cached(struct services *services, const struct identity *identity,
                        const char *project, const char *app, const char *reference,
                        struct version_fact *out, struct error *err)
{
    char text[FACT_KEY_MAX];
    struct span key = fact_key(project, app, reference, text);

    if (key.size == 0 || !memo_get(services->versions, key, out) ||
        out->epoch != database_version_epoch(services->database) ||
        clock_monotonic_ms() - out->seen_ms > VERSION_FACT_LIFE_MS ||
        (out->trashed && !may_see_cached(services, identity, out->id)))
        return error_set(err, -EAGAIN, "version not known");
    return 0;
}

/* The epoch is read first: a change in between makes the fact look old, never new. */
int version_fact_get(struct services *services, const struct identity *identity,
                     const char *project, const char *app, const char *reference,
                     struct version_fact *out, struct refusal *why, struct error *err)
{
    cleanup(version_release) struct version version = version_empty();
    struct version_fact fact = { .seen_ms = clock_monotonic_ms(),
                                 .epoch = database_version_epoch(services->database) };
    char text[FACT_KEY_MAX];
    int r;

    if (version_fact_cached(services, identity, project, app, reference, out, NULL) == 0)
        return 0;
    r = version_resolve(services, identity, project, app, reference, &version, why, err);
    if (r < 0)
        return r;
    fact.id = version.id;
    fact.content = version.content;
    fact.times = version.times;
    fact.tree = version.tree;
    fact.tree_size = version.tree_size;
    fact.tree_blob_id = version.tree_blob_id;
    fact.trashed = version.state != VERSION_READY;
    memo_put(services->versions, fact_key(project, app, version.name, text), &fact);
    *out = fact;
    return 0;
}

void version_fact_forget(struct services *services, const char *project, const char *app,
                         const char *reference)
{
    char text[FACT_KEY_MAX];

    memo_forget(services->versions, fact_key(project, app, reference, text));
}
