/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "common/base/span.h"
#include "common/codec/digest.h"
#include "server/db/pushes.h"
#include "server/service/access.h"

struct buf;

/*
 * push_files - the files that a push's listing names, as blobs that it wants.
 */

/* Wants every blob of the listing, which names `file_count` files, for the push (and so holds those
 * that are there and may be known), then sets the push's listing. The listing is a blob that the
 * push holds. May be done again. -EINVAL with REFUSAL_VALIDATION: one digest with two sizes. */
int push_files_want(struct services *services, const struct identity *identity,
                    const struct push *push, const struct digest *content, struct span listing,
                    uint64_t file_count, struct refusal *why, struct error *err);

/* Which of the listing's files are to be sent, as the bitmap of FORMATS 9, appended. */
int push_files_missing(struct services *services, const struct push *push, struct span listing,
                       struct buf *out_bitmap, struct error *err);
