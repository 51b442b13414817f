/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "common/base/span.h"
#include "server/service/access.h"

/*
 * push_document - the listing or the times of a push, streamed in.
 *
 * Unpacked, checked line by line by the model's reader, hashed and stored as they
 * arrive: memory does not grow with them. Nothing is visible before _end() gave 0.
 * A delta (from any blob that the token may pull) is kept as it arrives, and looked at
 * in _end(): then what it makes is treated as if it had come as it is.
 *
 * -EINVAL (REFUSAL_VALIDATION, text with the offset and the rule), -EBADMSG
 * (REFUSAL_DIGEST_MISMATCH, or a zstd frame that is damaged or has a window of more than 2^21
 * bytes: REFUSAL_VALIDATION), -EFBIG. A delta: as
 * delta_body.h says. Times need the
 * listing first (-EBUSY, REFUSAL_MISSING_BLOBS): it says how many there are. -ENOSPC
 * (REFUSAL_FULL) before a byte is taken, when there is no room for the body, and later, when there
 * is none for what it unpacks to.
 * After a failed call only _free() may follow. A document belongs to one thread at a time.
 */
struct push_document;

enum push_document_kind { PUSH_DOCUMENT_LISTING, PUSH_DOCUMENT_TIMES };
enum push_document_coding { PUSH_DOCUMENT_PLAIN, PUSH_DOCUMENT_ZSTD, PUSH_DOCUMENT_DELTA };

int push_document_begin(struct services *services, const struct caller *caller, const char *project,
                        const char *app, const char *push_id, enum push_document_kind kind,
                        enum push_document_coding coding, uint64_t body_size,
                        struct push_document **out_document, struct refusal *why,
                        struct error *err);
int push_document_add(struct push_document *document, struct span bytes, struct refusal *why,
                      struct error *err);
int push_document_end(struct push_document *document, struct refusal *why, struct error *err);
/* Always last, also after _end(); what was not ended is forgotten. NULL is fine; returns NULL. */
struct push_document *push_document_free(struct push_document *document);
