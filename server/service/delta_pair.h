/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"
#include "server/db/blobs.h"

struct error;
struct services;

/*
 * delta_pair - a base and a target, and what is known of the delta between them.
 *
 * Deltas do not change what they make, so one that was made is kept as a file under the digests of
 * both and the target's storage key. What else is known (that it is right, that none is worth it)
 * is remembered in a memo of bounded size: it may be forgotten at any time, and is with the
 * process. Nothing here says who may have it.
 */
#define DELTA_PAIR_NAME_SIZE ((size_t)2 * DIGEST_SIZE)
#define DELTA_PAIR_FILE_SIZE (2 * DIGEST_HEX_SIZE + BLOB_STORAGE_KEY_SIZE)

struct delta_pair {
    struct blob base, target;
    uint8_t name[DELTA_PAIR_NAME_SIZE]; /* both digests */
    char file[DELTA_PAIR_FILE_SIZE];    /* where it is kept */
};

void delta_pair_init(struct delta_pair *pair, const struct blob *base, const struct blob *target);
struct span delta_pair_name(const struct delta_pair *pair);

/* A delta that is kept; -ENOENT. A file that is none of this pair is removed (-EBADMSG). */
int delta_pair_open(struct services *services, const struct delta_pair *pair, int *out_fd,
                    uint64_t *out_size, struct error *err);
/* Keeps a copy, in the place of what was kept or known before. What cannot be kept is made
 * again, and nothing is known of it. */
void delta_pair_keep(struct services *services, const struct delta_pair *pair, int fd,
                     uint64_t size, bool proven);

/* Of the one that is kept (delta_proof.h): it makes the target; whether that is remembered; it does
 * not: it goes, with the chunk lists that it may be made from, and the pair is given up as long as
 * that is remembered, lest the same be made again. */
void delta_pair_is_right(struct services *services, const struct delta_pair *pair);
bool delta_pair_is_proven(struct services *services, const struct delta_pair *pair);
void delta_pair_is_wrong(struct services *services, const struct delta_pair *pair);

/* That none is smaller than the target in zstd, or right. */
bool delta_pair_is_hopeless(struct services *services, const struct delta_pair *pair);
void delta_pair_give_up(struct services *services, const struct delta_pair *pair);
