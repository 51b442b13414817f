/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "server/db/blobs.h"

struct error;
struct services;

/*
 * delta_proof - that a delta (delta.h) makes its target: it is applied to the stored base, and the
 * SHA-256 compared.
 *
 * It takes longer than making a delta, so nobody waits for it where it takes long: who receives
 * one verifies what it makes in any case, and has the whole blob instead.
 */

/* Of a file of `size` bytes. -EBADMSG: it does not make the target, or the base is not what it was.
 * -EAGAIN: the server stops. Memory: the reader's, three times the largest patch. */
int delta_proof(struct services *services, const struct blob *base, const struct blob *target,
                int fd, uint64_t size, struct error *err);
