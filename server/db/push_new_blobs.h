/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "server/db/push_blobs.h"

/*
 * push_new_blobs - blobs that a push sends before it knows what they are: `new-N`.
 *
 * Such a blob has an `uploading` row like any other, with a digest that is none of its bytes
 * (push_new_blob_stand_in()), and no hold: nobody can want it. When all of its bytes are there it
 * is named; from then on it is a blob of the push like others (push_blobs.h), and only the name is
 * kept here, so that who asks for new-N is told which one it is. What is not named by the end of
 * the push goes with it.
 */
#define PUSH_NEW_BLOBS_MAX 65536u /* N is below it */

struct push_new_blob {
    bool is_named;
    struct digest sha256; /* then; and nothing else is set */
    struct push_blob row; /* before */
};

/* What stands for the digest of a blob that has none yet, the same each time. */
struct digest push_new_blob_stand_in(int64_t push_number, uint32_t number);

/* -ENOENT: there is none, or the push has ended. */
int push_new_blob_get(struct database *database, int64_t push_number, uint32_t number,
                      struct push_new_blob *out, struct error *err);
/* The same, made with that size when there is none. */
int push_new_blob_open(struct database *database, int64_t push_number, uint32_t number,
                       uint64_t size, struct push_new_blob *out, struct error *err);

/* As push_blob_progress(). -ENOENT: it is named, or gone. */
int push_new_blob_progress(struct database *database, int64_t push_number, uint32_t number,
                           uint64_t received, struct span hash, struct error *err);

/* Its bytes are these: the push has a blob of that digest now, which is this one's row unless the
 * push has the bytes already (then this one's object goes to the tombstones). Done already: 0.
 * -ENOENT: none such, or the push has its listing and wants no such blob; -EINVAL: of another size
 * than the push's. */
int push_new_blob_name(struct database *database, int64_t push_number, uint32_t number,
                       const struct digest *sha256, struct error *err);

/* The digests of those that are named. Non-zero from `each` ends the walk; a negative number is
 * returned. */
typedef int push_new_blob_each(void *context, const struct digest *sha256, struct error *err);
int push_new_blob_walk(struct database *database, int64_t push_number, push_new_blob_each *each,
                       void *context, struct error *err);
