/* SPDX-License-Identifier: MIT */
#pragma once

#include "server/db/blobs.h"
#include "server/db/transaction.h"

/* blob_rows - blobs inside a transaction. */

/* What blob_read() reads, of a table that the statement calls b. */
#define BLOB_COLUMNS "b.id, b.sha256, b.size, b.verity, b.state, b.storage_key"
#define BLOB_COLUMN_COUNT 6

int blob_read(struct rows *rows, unsigned first_column, struct blob *out, struct error *err);
/* The next row, of BLOB_COLUMNS alone: 1; 0: there is none. */
int blob_next(struct rows *rows, struct blob *out, struct error *err);
int blob_state_parse(struct span text, enum blob_state *out, struct error *err);

/* A key that was never used: 16 hex digits of the digest, then of `random` (8 fresh random bytes).
 */
void blob_key_make(const struct digest *sha256, const unsigned char random[8],
                   char out[BLOB_STORAGE_KEY_SIZE]);

/* A row for bytes that are to come. */
int blob_begin(struct transaction *tx, const struct digest *sha256, uint64_t size,
               const unsigned char random[8], int64_t *out_id, struct error *err);

/* Live again, what was condemned of what the push holds, in this transaction: from one digest to
 * another (NULL: from the first, to the last). What it costs follows what is held there, not how
 * much is condemned. */
int blob_reprieve(struct transaction *tx, int64_t push_number, const struct digest *first,
                  const struct digest *last, struct error *err);

/* A row whose bytes are not all there goes, and its object with it. */
int blob_end(struct transaction *tx, const struct blob *blob, struct error *err);

/* The key's object has to go. */
int tombstone_add(struct transaction *tx, const char *key, struct error *err);
