/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/codec/digest.h"

struct database;
struct error;

/*
 * blobs - one row for every object in the blob store, there before its first byte.
 *
 * One row that is not `uploading` per SHA-256. Merkle objects have no row of their
 * own: a blob of more than a piece (512 KiB) has one under blob_merkle_key(), stored
 * before the blob becomes live and removed with it. That of a smaller blob is one block,
 * quicker made from the bytes than kept as a file.
 */
enum blob_state {
    BLOB_UPLOADING, /* belongs to one push; its bytes are not all there */
    BLOB_LIVE,      /* verified and durable */
    BLOB_CONDEMNED, /* nothing refers to it; goes after the grace unless something does again */
    BLOB_MISSING,   /* the store lost it: healed when the same bytes are pushed */
    BLOB_CORRUPT,   /* the store holds other bytes: healed likewise */
};

/* 16 hex digits of the SHA-256 (of its stand-in, if it was not known), 16 random ones, NUL. */
#define BLOB_STORAGE_KEY_SIZE 33
#define BLOB_MERKLE_KEY_SIZE (BLOB_STORAGE_KEY_SIZE + 2)

struct blob {
    int64_t id;
    struct digest sha256;
    uint64_t size;
    struct digest verity; /* zeros while uploading */
    enum blob_state state;
    char key[BLOB_STORAGE_KEY_SIZE];
};

const char *blob_state_name(enum blob_state state);

/* KEY.m */
void blob_merkle_key(const struct blob *blob, char out[BLOB_MERKLE_KEY_SIZE]);

/* The row of that id, whatever its state. */
int blob_get(struct database *database, int64_t id, struct blob *out, struct error *err);

/* 1: a row has its object under this key; 0: none has. */
int blob_key_is_used(struct database *database, const char *key, struct error *err);

/* The blob of that digest that a version holds (also its listing and times). -ENOENT: not of it. */
int blob_of_version(struct database *database, int64_t version_id, const struct digest *sha256,
                    struct blob *out, struct error *err);

/* Reading found the object gone or its bytes wrong: BLOB_MISSING or BLOB_CORRUPT. Only a live or
 * condemned row changes, and only while it has that key (else it was healed meanwhile: 0). */
int blob_report(struct database *database, int64_t id, const char *key, enum blob_state state,
                struct error *err);

/* How many rows are in each state, for metrics: out[enum blob_state]. */
#define BLOB_STATE_COUNT 5
struct blob_totals {
    uint64_t count, bytes;
};
int blob_totals_get(struct database *database, struct blob_totals out[BLOB_STATE_COUNT],
                    struct error *err);
