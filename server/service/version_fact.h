/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/codec/digest.h"
#include "server/db/versions.h"

struct error;
struct identity;
struct refusal;
struct services;

/*
 * version_fact - what content needs to know of a version.
 *
 * Nothing in it changes while the version exists but its state, and a version can be
 * purged: so a fact is believed as long as database_version_epoch() is the same, and
 * at most for VERSION_FACT_LIFE_MS (a process may have died between commit and count).
 *
 * A version in the trash is there for those who ask for it (identity->sees_trash) and for
 * tokens with a lease on it; for all others it is -ENOENT. That a token has a lease is
 * believed until the lease ends, and no longer than a fact.
 */
#define VERSION_FACT_LIFE_MS 60000

struct version_fact {
    int64_t id;
    struct digest content, times, tree;
    uint64_t tree_size;
    int64_t tree_blob_id;
    bool trashed;
    uint64_t epoch;
    uint64_t seen_ms; /* monotonic */
};

/* That a token has a lease on a version. */
struct lease_fact {
    int64_t expires_at_s;
    uint64_t seen_ms;
};

/* By name, `latest` or `@channel`. Blocks. -ENOENT, -ESTALE with *why. */
int version_fact_get(struct services *services, const struct identity *identity,
                     const char *project, const char *app, const char *reference,
                     struct version_fact *out, struct refusal *why, struct error *err);

/* Never blocks. -EAGAIN: not known. `latest` and channels are never known. */
int version_fact_cached(struct services *services, const struct identity *identity,
                        const char *project, const char *app, const char *reference,
                        struct version_fact *out, struct error *err);

void version_fact_forget(struct services *services, const char *project, const char *app,
                         const char *reference);

/* The row that a reference stands for; version_release() it. */
int version_resolve(struct services *services, const struct identity *identity, const char *project,
                    const char *app, const char *reference, struct version *out,
                    struct refusal *why, struct error *err);

/* For those who change it: by its exact name alone (-EINVAL), ready or in the trash. */
int version_resolve_exact(struct services *services, const char *project, const char *app,
                          const char *name, struct version *out, struct refusal *why,
                          struct error *err);
