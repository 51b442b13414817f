/* SPDX-License-Identifier: MIT */
#pragma once

#include "server/db/push_blobs.h"

struct transaction;

/* push_holds - holds inside a transaction. */

/* Replaces the hold of a blob that the store lost by one of a fresh `uploading` row. */
int push_hold_renew(struct transaction *tx, int64_t push_number, const struct digest *sha256,
                    uint64_t size, const unsigned char random[8], struct error *err);
