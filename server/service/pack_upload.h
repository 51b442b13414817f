/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/codec/digest.h"
#include "server/service/access.h"
#include "server/service/refusal.h"

/*
 * pack_upload - small blobs of a push, many in one request (a pack, FORMATS 8).
 *
 *     pack_upload_begin -> pack_upload_add ... -> pack_upload_end -> pack_upload_free
 *
 * Members are verified and written as they come, and made durable in batches: two syncs and one
 * transaction for PACK_UPLOAD_BATCH of them. Each member stands alone: one that is damaged, that
 * the push does not want, or that another request is sending just now is reported, and the others
 * count. Only what the push wants, and has not yet, is unpacked. What a batch has made durable
 * stays, whatever becomes of the request; nothing else does.
 *
 * A member has at most PACK_UPLOAD_MEMBER_MAX bytes: larger blobs are worth a request of their own,
 * which can be resumed (blob_upload.h). Those to store have at most PACK_UPLOAD_BYTES_MAX together,
 * unpacked. -EFBIG, REFUSAL_TOO_LARGE above. -EINVAL with REFUSAL_VALIDATION: it is no pack, or
 * more than PACK_UPLOAD_FAILURES_MAX members failed by the sender's fault (all but
 * REFUSAL_PUSH_BUSY). -ENOSPC with REFUSAL_FULL: at the begin, no room for a body of that size
 * (push_door.h); later, none for what it unpacks to; what was stored by then is kept. An upload
 * belongs to one thread at a time.
 */
#define PACK_UPLOAD_MEMBER_MAX ((uint64_t)512 << 10)
#define PACK_UPLOAD_COUNT_MAX 65536
#define PACK_UPLOAD_BYTES_MAX ((uint64_t)128 << 20)
#define PACK_UPLOAD_BATCH 512
#define PACK_UPLOAD_FAILURES_MAX 256 /* told by name */

struct pack_upload;

struct pack_upload_failure {
    struct digest sha256;
    /* REFUSAL_DIGEST_MISMATCH, REFUSAL_NOT_FOUND (not wanted), REFUSAL_VALIDATION (another size
     * than the listing's), REFUSAL_PUSH_BUSY */
    enum refusal_code code;
};

struct pack_upload_result {
    uint64_t stored;  /* durable now */
    uint64_t present; /* the push had them already */
    uint64_t failed;
    struct pack_upload_failure failures[PACK_UPLOAD_FAILURES_MAX]; /* the first of them */
};

int pack_upload_begin(struct services *services, const struct caller *caller, const char *project,
                      const char *app, const char *push_id, uint64_t body_size,
                      struct pack_upload **out_upload, struct refusal *why, struct error *err);
int pack_upload_add(struct pack_upload *upload, struct span bytes, struct refusal *why,
                    struct error *err);
/* 0: every stored member is durable. *out_result lives as long as the upload. */
int pack_upload_end(struct pack_upload *upload, const struct pack_upload_result **out_result,
                    struct refusal *why, struct error *err);
/* Instead: the body broke off, or was refused. The members that came whole are stored. */
void pack_upload_break_off(struct pack_upload *upload);
/* Always last. NULL is fine; returns NULL. */
struct pack_upload *pack_upload_free(struct pack_upload *upload);
