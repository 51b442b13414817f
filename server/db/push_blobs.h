/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/codec/digest.h"
#include "server/db/blobs.h"

/*
 * push_blobs - what a push needs, and how much of it is there.
 *
 * Each row ties a push to a blob row: the hold that keeps the collector away. A
 * wanted blob that the token may know about (it could pull it, or push to an app
 * that has it, or has sent it in another open push) is held and need not be sent;
 * for every other one an `uploading` row with a fresh storage key is made, so that
 * its first byte can be stored at once; whether the store has the bytes already
 * makes no difference that a pusher could see.
 */
struct blob_want {
    struct digest sha256;
    uint64_t size;
};

/* What the token may know about: blobs of versions in this scope, and what it sent itself. */
struct blob_scope {
    const char *project; /* NULL: everything */
    const char *app;     /* NULL: the whole project */
    const char *token_id;
};

#define PUSH_WANT_MAX 16384 /* more would hold up the other writers */

/* Adds up to PUSH_WANT_MAX blobs in one transaction; out_missing[i] says that the i-th has to be
 * sent. Fastest in ascending order. Asking again for one that the push has is fine (another size:
 * -EINVAL). -ENOENT: the push has ended. */
int push_blobs_want(struct database *database, int64_t push_number, const struct blob_scope *scope,
                    const struct blob_want *wants, size_t count, bool *out_missing,
                    struct error *err);

/* Same for one blob whose size nobody has said: held when it is there and visible (0), else
 * -ENOENT. */
int push_blob_hold(struct database *database, int64_t push_number, const struct blob_scope *scope,
                   const struct digest *sha256, struct blob *out, struct error *err);

struct push_blob {
    struct blob blob; /* state BLOB_LIVE: it is there; BLOB_UPLOADING: to be sent, under blob.key */
    uint64_t received; /* bytes of it that are durable, as last told by push_blob_progress() */
    bool has_hash;
    uint8_t hash[DIGEST_SAVED_SIZE]; /* of those bytes: digest_stream_load() */
};

/* -ENOENT: the push does not want it, or has ended. A held blob whose state is `missing` or
 * `corrupt` by now is turned into one to be sent. */
int push_blob_get(struct database *database, int64_t push_number, const struct digest *sha256,
                  struct push_blob *out, struct error *err);

/* The first `received` bytes are durable in the store; hash: DIGEST_SAVED_SIZE bytes or empty. */
int push_blob_progress(struct database *database, int64_t push_number, const struct digest *sha256,
                       uint64_t received, struct span hash, struct error *err);

struct blob_done {
    struct digest sha256;
    struct digest verity;
};

/* Verified and durable (and the merkle object too): they become live, or join the live row that
 * another push made of the same bytes meanwhile (the surplus object goes to the tombstones).
 * Already done: 0. -ENOENT: the push has ended or does not want one of them; nothing is done then.
 */
int push_blobs_done(struct database *database, int64_t push_number, const struct blob_done *done,
                    size_t count, struct error *err);

/* The digests still to be sent, ascending. Non-zero from `each` ends the walk; a
 * negative number is returned. */
typedef int push_missing_each(void *context, const struct digest *sha256, uint64_t size,
                              struct error *err);
int push_missing_walk(struct database *database, int64_t push_number, push_missing_each *each,
                      void *context, struct error *err);

/* Every held blob that is live, ascending by digest, with size, verity digest and key. */
typedef int push_present_each(void *context, const struct blob *blob, struct error *err);
int push_present_walk(struct database *database, int64_t push_number, push_present_each *each,
                      void *context, struct error *err);

/* Blobs that are there (*out_received, those that were sent to this push or held) and those
 * missing. */
int push_blob_count(struct database *database, int64_t push_number, uint64_t *out_present,
                    uint64_t *out_missing, struct error *err);

/* The push does not want it after all: unless it is its listing or its times, it is not held any
 * more, and is the collector's; what is not all there goes at once. */
int push_blob_drop(struct database *database, int64_t push_number, const struct digest *sha256,
                   struct error *err);
