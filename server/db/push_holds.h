/* SPDX-License-Identifier: MIT */
#pragma once

#include "server/db/push_blobs.h"

struct transaction;

/* push_holds - holds inside a transaction. */

/* 1 and the blob that the push has under that digest, or 0. */
int push_hold_find(struct transaction *tx, int64_t push_number, const struct digest *sha256,
                   struct blob *out, struct error *err);

/* Replaces the hold of a blob that the store lost by one of a fresh `uploading` row. */
int push_hold_renew(struct transaction *tx, int64_t push_number, const struct digest *sha256,
                    uint64_t size, const unsigned char random[8], struct error *err);
