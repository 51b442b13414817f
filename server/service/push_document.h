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
 *
 * -EINVAL (REFUSAL_VALIDATION, text with the offset and the rule), -EBADMSG
 * (REFUSAL_DIGEST_MISMATCH, or a damaged zstd frame: REFUSAL_VALIDATION), -EFBIG. Times need the
 * listing first (-EBUSY, REFUSAL_MISSING_BLOBS): it says how many there are.
 * After a failed call only _free() may follow. A document belongs to one thread at a time.
 */
struct push_document;

enum push_document_kind { PUSH_DOCUMENT_LISTING, PUSH_DOCUMENT_TIMES };
enum push_document_coding { PUSH_DOCUMENT_PLAIN, PUSH_DOCUMENT_ZSTD };

int push_document_begin(struct services *services, const struct caller *caller, const char *project,
                        const char *app, const char *push_id, enum push_document_kind kind,
                        enum push_document_coding coding, struct push_document **out_document,
                        struct refusal *why, struct error *err);
int push_document_add(struct push_document *document, struct span bytes, struct refusal *why,
                      struct error *err);
int push_document_end(struct push_document *document, struct refusal *why, struct error *err);
/* Always last, also after _end(); what was not ended is forgotten. NULL is fine; returns NULL. */
struct push_document *push_document_free(struct push_document *document);
