/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "common/codec/digest.h"
#include "server/db/versions.h"

struct error;
struct refusal;
struct services;

/*
 * version_fact - what content needs to know of a version.
 *
 * Nothing in it changes while the version exists, but a version can be purged: so a
 * fact is believed for VERSION_FACT_LIFE_MS, then asked again. (Bytes of a purged
 * version outlive it by a day; a fact that is a minute old does no harm.)
 */
#define VERSION_FACT_LIFE_MS 60000

struct version_fact {
    int64_t id;
    struct digest content, times, tree;
    uint64_t tree_size;
    int64_t tree_blob_id;
    uint64_t seen_ms; /* monotonic */
};

/* By name, `latest` or `@channel`. Blocks. -ENOENT, -ESTALE with *why. */
int version_fact_get(struct services *services, const char *project, const char *app,
                     const char *reference, struct version_fact *out, struct refusal *why,
                     struct error *err);

/* Never blocks. -EAGAIN: not known. `latest` and channels are never known. */
int version_fact_cached(struct services *services, const char *project, const char *app,
                        const char *reference, struct version_fact *out, struct error *err);

void version_fact_forget(struct services *services, const char *project, const char *app,
                         const char *reference);

/* The row that a reference stands for; version_release() it. Trashed versions answer to their exact
 * name. */
int version_resolve(struct services *services, const char *project, const char *app,
                    const char *reference, struct version *out, struct refusal *why,
                    struct error *err);
