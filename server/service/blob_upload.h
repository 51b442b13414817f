/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/codec/digest.h"
#include "server/service/access.h"

/*
 * blob_upload - one part of one blob of a push.
 *
 *     blob_upload_begin (or _new, or _whole) -> _add ... -> _end -> _free
 *
 * A part starts at the offset that the push has for this blob (HEAD tells it), and is at most
 * part_size long. The part that reaches the length verifies the digest and makes the blob durable
 * before _end() returns. _free() without _end() (the client is gone) keeps nothing that was not
 * told.
 *
 * -ENOENT: not in the listing. -EINVAL: another length than the listing's. -EBUSY:
 * REFUSAL_OFFSET_MISMATCH with the offset to go on at, or REFUSAL_PUSH_BUSY when another request is
 * writing this blob of this push. -ENOSPC with REFUSAL_FULL: no room for what is left of the blob,
 * told at the begin (push_door.h), or the disk is full. -EBADMSG: REFUSAL_DIGEST_MISMATCH, the
 * offset is 0 again.
 * A blob that the push has already: the part is taken and dropped, *out_offset is the length.
 * An upload belongs to one thread at a time.
 */
struct blob_upload;

/* HEAD: how far it is. */
int blob_upload_offset(struct services *services, const struct caller *caller, const char *project,
                       const char *app, const char *push_id, const struct digest *sha256,
                       uint64_t *out_offset, uint64_t *out_length, struct refusal *why,
                       struct error *err);

int blob_upload_begin(struct services *services, const struct caller *caller, const char *project,
                      const char *app, const char *push_id, const struct digest *sha256,
                      uint64_t offset, uint64_t length, uint64_t part_size,
                      struct blob_upload **out_upload, struct refusal *why, struct error *err);

/*
 * The same for new-N (server/db/push_new_blobs.h), a blob whose digest is not known before its last
 * part: `sha256` is told with that one, NULL else; without it the last part is -EINVAL, with
 * another than the bytes have it is REFUSAL_DIGEST_MISMATCH and the offset is 0 again. The first
 * part says how long the blob is (-EINVAL for another length later). -ENOENT also at the end: the
 * push has its listing, which does not name it. Once the blob has its digest, new-N is another name
 * of it.
 */
int blob_upload_offset_new(struct services *services, const struct caller *caller,
                           const char *project, const char *app, const char *push_id,
                           uint32_t number, uint64_t *out_offset, uint64_t *out_length,
                           struct refusal *why, struct error *err);
int blob_upload_begin_new(struct services *services, const struct caller *caller,
                          const char *project, const char *app, const char *push_id,
                          uint32_t number, const struct digest *sha256, uint64_t offset,
                          uint64_t length, uint64_t part_size, struct blob_upload **out_upload,
                          struct refusal *why, struct error *err);

/* For bytes that are made here: the whole blob in one part, however large; parts that were sent
 * before are forgotten, at the first byte that is added or at the end. */
int blob_upload_begin_whole(struct services *services, const struct caller *caller,
                            const char *project, const char *app, const char *push_id,
                            const struct digest *sha256, struct blob_upload **out_upload,
                            struct refusal *why, struct error *err);
/* Of one that has begun. is_there: nothing of it has to be sent. */
bool blob_upload_is_there(const struct blob_upload *upload);
uint64_t blob_upload_size(const struct blob_upload *upload); /* of the blob */
int64_t blob_upload_push(const struct blob_upload *upload);  /* the push's number */
/* More than part_size in all: -EINVAL. */
int blob_upload_add(struct blob_upload *upload, struct span bytes, struct refusal *why,
                    struct error *err);
/* *out_offset: what Upload-Offset says now. Fewer bytes than part_size: -EINVAL, nothing kept. */
int blob_upload_end(struct blob_upload *upload, uint64_t *out_offset, struct refusal *why,
                    struct error *err);
/* Instead, when no call has failed: the body broke off. What came of it is made durable and counts,
 * so that a line that breaks before any part is through does not keep the blob away for ever. */
#define UPLOAD_BROKEN_MIN 4096 /* fewer bytes are not worth a sync */
void blob_upload_break_off(struct blob_upload *upload);
/* Always last. NULL is fine; returns NULL. */
struct blob_upload *blob_upload_free(struct blob_upload *upload);
