/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

struct error;
struct transaction;

/* push_new_rows - blobs without a name inside a transaction. */

/* The push ends: what is not named goes, its keys to the tombstones; the names are forgotten. */
int push_new_blobs_end(struct transaction *tx, int64_t push_number, struct error *err);
