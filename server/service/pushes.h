/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/codec/digest.h"
#include "common/model/names.h"
#include "server/service/access.h"
#include "server/service/versions.h"

struct buf;
struct record;

/*
 * pushes - a version on its way in (DESIGN 5, LIFECYCLE).
 *
 *     pushes_create -> PUSHES_OPEN          or PUSHES_EXISTS: nothing to do
 *     push_document_* (listing), (times)  unless they are not wanted
 *     pushes_missing                      which blobs to send (and holds on the others)
 *     blob_upload_* for each of them      blob_upload.h
 *     pushes_commit                       one transaction; PUSHES_CREATED or PUSHES_EXISTS
 *
 * A push belongs to the token that made it and to its app: every other token sees
 * -ENOENT. Each request of a push renews its lease. Until the commit nothing of it
 * is visible to anyone; when its lease ends, nothing of it remains.
 */
#define PUSH_ID_TEXT_SIZE 33 /* 32 hex digits and a NUL */

struct pushes_request {
    const char *project, *app;
    const char *version;          /* NULL: made from the content (its first 12 hex digits) */
    const struct digest *content; /* NULL: told at the commit, or taken from the listing */
    const struct digest *times;   /* NULL: taken from what is put */
    const char *base;             /* a version of the app to delta against; NULL; a hint */
    /* What the pusher says about it: the members of record_read_metadata(), the rest is not looked
     * at; NULL: nothing. */
    const struct record *metadata;
};

struct push_info {
    char id[PUSH_ID_TEXT_SIZE];
    char project[NAME_TEXT_SIZE];
    char app[NAME_TEXT_SIZE];
    char version[VERSION_TEXT_SIZE]; /* "": not known yet */
    bool has_content, has_times;
    struct digest content, times;
    uint32_t part_size;
    int64_t expires_at_s;
    bool wants_listing, wants_times;
    uint64_t received_blobs; /* that this push holds, documents not counted */
};

enum pushes_outcome {
    PUSHES_OPEN,    /* out_push is filled */
    PUSHES_EXISTS,  /* out_version is filled: same content under this name */
    PUSHES_CREATED, /* out_version is filled */
};

/* Makes project and app when the token's scope allows it. REFUSAL_VERSION_EXISTS (-EEXIST) when the
 * name stands, or stood, for other content. Fills *out_push or *out_version by *out_outcome. */
int pushes_create(struct services *services, const struct caller *caller,
                  const struct pushes_request *request, enum pushes_outcome *out_outcome,
                  struct push_info *out_push, struct version_info *out_version, struct refusal *why,
                  struct error *err);
int pushes_get(struct services *services, const struct caller *caller, const char *project,
               const char *app, const char *id, struct push_info *out, struct refusal *why,
               struct error *err);
int pushes_abandon(struct services *services, const struct caller *caller, const char *project,
                   const char *app, const char *id, struct refusal *why, struct error *err);

/* The bitmap of FORMATS 9, appended. -EBUSY (REFUSAL_MISSING_BLOBS) before the listing is there. */
int pushes_missing(struct services *services, const struct caller *caller, const char *project,
                   const char *app, const char *id, struct buf *out_bitmap, struct refusal *why,
                   struct error *err);

/* content: NULL, or what the pusher says it is (must agree with the listing:
 * REFUSAL_DIGEST_MISMATCH). */
int pushes_commit(struct services *services, const struct caller *caller, const char *project,
                  const char *app, const char *id, const struct digest *content,
                  enum pushes_outcome *out_outcome, struct version_info *out_version,
                  struct refusal *why, struct error *err);

/* Ends pushes whose lease has passed: holds and part files go, their blobs become candidates for
 * collection. *out_count: how many. A job calls it. */
int pushes_expire(struct services *services, size_t *out_count, struct error *err);
