/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "server/db/blobs.h"

struct error;
struct services;

/*
 * delta_make - a delta (delta.h) between two stored blobs.
 *
 * Planned from the two merkle trees (what was changed in place) or the two chunk lists (what
 * moved), whichever leaves fewer bytes to send; the trees are held against the blobs' verity
 * digests, the lists cannot be. Where both blobs are small enough to be looked at as a whole, a
 * patch of the target with all of the base as its prefix competes, and whatever came out is proven
 * (delta_proof.h), which costs little there. A larger one is not: a list that lies, two chunks with
 * one hash or a damaged object make a delta whose result is refused by who receives it, for then
 * it is not the target; who is asked for the same again proves it behind (delta_later.h).
 *
 * Where nothing beats the target compressed, and that is worth it, the delta is the target
 * compressed: a blob that is sent whole is not.
 *
 * Memory: a few MiB, with patches up to three times DELTA_MAKE_PATCH_MAX; the rest lies in scratch
 * files. Time: that of reading both blobs once, when there are no chunk lists yet; the bound on the
 * size keeps it to what somebody can wait for.
 */
#define DELTA_MAKE_MAX ((uint64_t)4 << 30)        /* bytes of each blob */
#define DELTA_MAKE_PATCH_MAX ((uint64_t)16 << 20) /* of each blob, for a patch of all of it */

/* Whether what is made of these is proven. */
bool delta_make_proves(const struct blob *base, const struct blob *target);

/* 1 and a scratch file of the caller's; 0: none that is smaller than the target in zstd. Negative:
 * it could not be found out. */
int delta_make(struct services *services, const struct blob *base, const struct blob *target,
               int *out_fd, uint64_t *out_size, struct error *err);

/* The patch alone, of blobs of 1 byte up to DELTA_PATCH_MAX each; 0 also when it has `limit` bytes
 * or more. Proven. For when nobody waits: it takes seconds, and three times the
 * larger blob of memory. */
int delta_make_patch(struct services *services, const struct blob *base, const struct blob *target,
                     uint64_t limit, int *out_fd, uint64_t *out_size, struct error *err);
