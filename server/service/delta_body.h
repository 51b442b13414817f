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
 * one go, as few at a time as elsewhere (gate.h): that bounds its memory, which is the reader's
 * (delta.h), however many send at once. What is made is for the caller to verify.
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

/* What all of it says of itself. -EINVAL with REFUSAL_VALIDATION: it is no delta. */
int delta_body_header(struct delta_body *body, struct delta_header *out, struct refusal *why,
                      struct error *err);

/* Target bytes to `target`, in order. The base is held for the push; it is one that the identity
 * may pull, or else -ENOENT with REFUSAL_NOT_FOUND, whether it exists or not. -EINVAL with
 * REFUSAL_VALIDATION: the delta is broken. -EAGAIN: too much of this is done already. What the sink
 * returns is returned, and *why is then the sink's to set. */
int delta_body_make(struct delta_body *body, int64_t push_number, const struct identity *identity,
                    const struct delta_header *header, struct sink target, struct refusal *why,
                    struct error *err);
