/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "common/base/span.h"
#include "common/codec/digest.h"
#include "server/service/access.h"

/*
 * delta_upload - a blob of a push, sent as a delta from one that the token may pull.
 *
 *     delta_upload_begin -> delta_upload_add ... -> delta_upload_end -> delta_upload_free
 *
 * At the end the server makes the blob out of its own base and treats it as if it had come as it
 * is: verified by SHA-256, durable, live. Parts of it that were sent before are forgotten when the
 * first byte was made, and stay as they are when there is no such byte. Nothing is kept of a delta
 * that makes other bytes, or none.
 *
 * -ENOENT: not in the listing, or no such base (delta_body.h). -EINVAL with REFUSAL_VALIDATION: a
 * broken delta, or one that makes another blob. -EFBIG: the body has more than part_size bytes, or
 * the blob more than DELTA_UPLOAD_MAX, or the delta makes too much of too little (delta_body.h).
 * -ENOSPC with REFUSAL_FULL: no room for the delta and the blob (push_door.h), told at the begin.
 * -EBADMSG: REFUSAL_DIGEST_MISMATCH. -EBUSY with REFUSAL_PUSH_BUSY: another request writes this
 * blob. -EAGAIN: later.
 * A blob that the push has already: the delta is taken and dropped.
 * An upload belongs to one thread at a time.
 */
#define DELTA_UPLOAD_MAX ((uint64_t)64 << 30)

struct delta_upload;

int delta_upload_begin(struct services *services, const struct caller *caller, const char *project,
                       const char *app, const char *push_id, const struct digest *sha256,
                       uint64_t body_size, struct delta_upload **out_upload, struct refusal *why,
                       struct error *err);
int delta_upload_add(struct delta_upload *upload, struct span bytes, struct refusal *why,
                     struct error *err);
/* *out_offset: the length of the blob. */
int delta_upload_end(struct delta_upload *upload, uint64_t *out_offset, struct refusal *why,
                     struct error *err);
/* Always last. NULL is fine; returns NULL. */
struct delta_upload *delta_upload_free(struct delta_upload *upload);
