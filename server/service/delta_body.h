/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "common/base/span.h"
#include "common/model/delta.h"
#include "server/service/access.h"
#include "server/service/spool.h"

/*
 * delta_body - a delta that somebody sends: kept as it comes, and made into its target when all of
 * it is here.
 *
 * So a slow sender holds neither a base nor anything of the target open, and the work is done in
 * one go, few at a time, behind a gate of its own (gate.h, services.c): that bounds its memory,
 * which is the reader's (delta.h), however many send at once. What is made is for the caller to
 * verify.
 *
 * Once a call has failed only release may follow. One thread at a time.
 */
struct delta_body {
    struct services *services;
    struct spool spool;
    uint64_t maximum; /* bytes of the delta */
};

void delta_body_init(struct delta_body *body, struct services *services, uint64_t maximum);
void delta_body_release(struct delta_body *body);

/* -EFBIG with REFUSAL_TOO_LARGE. */
int delta_body_add(struct delta_body *body, struct span bytes, struct refusal *why,
                   struct error *err);

/* What is made has at most the base's size, and so many bytes more for each byte of the delta: that
 * little can make far more to write down than to send is what others would use. An empty MiB takes
 * our writer 60 bytes (1 : 17476), and the holes of a whole disk's image are not refused. */
#define DELTA_BODY_TIMES 20480

/* What all of it says of itself. -EINVAL with REFUSAL_VALIDATION: it is no delta. */
int delta_body_header(struct delta_body *body, struct delta_header *out, struct refusal *why,
                      struct error *err);

/* Target bytes to `target`, in order. The base is held for the push; it is one that the identity
 * may pull, or else -ENOENT with REFUSAL_NOT_FOUND, whether it exists or not. -EINVAL with
 * REFUSAL_VALIDATION: the delta is broken. -EFBIG with REFUSAL_TOO_LARGE: it makes more than the
 * bound above, or is dearer than its reader goes (delta.h). -EAGAIN: too much of this is done
 * already, or the server stops: that is seen at every read of the base and every write. What the
 * sink returns is returned, and *why is then the sink's to set. */
int delta_body_make(struct delta_body *body, int64_t push_number, const struct identity *identity,
                    const struct delta_header *header, struct sink target, struct refusal *why,
                    struct error *err);
