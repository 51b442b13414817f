/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/codec/digest.h"
#include "server/db/push_blobs.h"
#include "server/service/blob_upload.h"
#include "server/service/side_task.h"

/*
 * blob_upload_private - what blob_upload.c (taking and ending), blob_upload_begin.c (finding and
 * preparing) and new_upload.c (blobs without a digest) share.
 */

/* What becomes of the bytes that come. */
enum upload_way {
    UPLOAD_DROP,   /* the push has the blob already */
    UPLOAD_VERIFY, /* the store has all of it, the row does not know: verified at the end */
    UPLOAD_PART,   /* a part of several, or all of it */
};

/* The push's number, then the digest, or the number of one that has none: no two are the same. */
#define UPLOAD_NAME_MAX (sizeof(int64_t) + DIGEST_SIZE)

struct upload_name {
    uint8_t bytes[UPLOAD_NAME_MAX];
    size_t size;
};

struct blob_upload {
    struct services *services;
    int64_t push_number;
    bool is_new; /* new-`number`, which has no digest yet */
    uint32_t number;
    bool has_claimed; /* then: what its digest is to be */
    struct digest claimed;
    struct blob blob; /* of a new one with a stand-in's digest */
    enum upload_way way;
    uint64_t offset; /* where the part starts */
    uint64_t part_size;
    uint64_t added; /* of the part */
    struct digest_stream digest;
    struct blob_writer *writer;
    struct upload_merkle *merkle; /* NULL: the blob is read back for it */
    struct side_task hashing;     /* SHA-256 of `piece` */
    struct side_task growing;     /* its part of the tree */
    struct span piece;
    bool is_pending; /* a whole blob of which no byte has come; its row: */
    struct push_blob row;
    bool busy; /* `name` is entered */
    struct upload_name name;
};

struct blob_upload *blob_upload_new(struct services *services); /* NULL: out of memory */

/* A part of a blob of `size` bytes: -EFBIG, -EINVAL. */
int blob_upload_check_part(struct services *services, uint64_t size, uint64_t offset,
                           uint64_t part_size, struct refusal *why, struct error *err);
/* Nobody else works on the push's blob of that digest (NULL: on the one of upload->number) until
 * _leave() (-EBUSY: somebody does). */
int blob_upload_enter(struct blob_upload *upload, const struct digest *sha256, struct refusal *why,
                      struct error *err);
void blob_upload_leave(struct blob_upload *upload);
/* -EBUSY: somebody works on it just now. */
int blob_upload_check_free(struct services *services, int64_t push_number,
                           const struct digest *sha256, uint32_t number, struct refusal *why,
                           struct error *err);
/* Decides the way, under the upload's name, from the row as it is now. */
int blob_upload_prepare(struct blob_upload *upload, const struct push_blob *row,
                        struct refusal *why, struct error *err);
/* The row knows that so much is here; hash: DIGEST_SAVED_SIZE bytes or empty. */
int blob_upload_progress(struct blob_upload *upload, uint64_t received, struct span hash,
                         struct error *err);
/* The store and the row tell different things: the upload starts again. */
int blob_upload_start_over(struct blob_upload *upload, struct refusal *why, struct error *err);
/* All of a new one's bytes are here, and they are what was claimed: it is a blob of the push like
 * others from now on. Nothing is left to do when `way` is UPLOAD_DROP then. */
int blob_upload_give_name(struct blob_upload *upload, struct refusal *why, struct error *err);
