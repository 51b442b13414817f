/* SPDX-License-Identifier: MIT */
#include "server/db/blobs.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/hex.h"
#include "server/db/blob_rows.h"

static const char *const state_names[BLOB_STATE_COUNT] = {
    [BLOB_UPLOADING] = "uploading", [BLOB_LIVE] = "live",       [BLOB_CONDEMNED] = "condemned",
    [BLOB_MISSING] = "missing",     [BLOB_CORRUPT] = "corrupt",
};

const char *blob_state_name(enum blob_state state)
{
    assert((unsigned)state < BLOB_STATE_COUNT);
    return state_names[state];
}

int blob_state_parse(struct span text, enum blob_state *out, struct error *err)
{
    for (unsigned i = 0; i < BLOB_STATE_COUNT; i++) {
        if (span_equal_text(text, state_names[i])) {
            *out = (enum blob_state)i;
            return 0;
        }
    }
    return error_set(err, -EBADMSG, "the database has a blob of unknown state");
}

void blob_merkle_key(const struct blob *blob, char out[BLOB_MERKLE_KEY_SIZE])
{
    size_t size = strlen(blob->key);

    memcpy(out, blob->key, size);
    memcpy(out + size, ".m", 3);
}

int blob_next(struct rows *rows, struct blob *out, struct error *err)
{
    int r = rows_next(rows, err);

    if (r <= 0)
        return r;
    r = blob_read(rows, 0, out, err);
    return r < 0 ? r : 1;
}

void blob_key_make(const struct digest *sha256, const unsigned char random[8],
                   char out[BLOB_STORAGE_KEY_SIZE])
{
    hex_encode(sha256->bytes, 8, out);
    hex_encode(random, 8, out + 16);
}

int blob_read(struct rows *rows, unsigned first_column, struct blob *out, struct error *err)
{
    int r;

    out->id = rows_integer(rows, first_column);
    out->size = (uint64_t)rows_integer(rows, first_column + 2);
    r = rows_digest(rows, first_column + 1, &out->sha256, err);
    if (r >= 0)
        r = rows_digest(rows, first_column + 3, &out->verity, err);
    if (r >= 0)
        r = blob_state_parse(rows_bytes(rows, first_column + 4), &out->state, err);
    if (r >= 0)
        r = rows_text(rows, first_column + 5, out->key, sizeof(out->key), err);
    return r;
}

int blob_begin(struct transaction *tx, const struct digest *sha256, uint64_t size,
               const unsigned char random[8], int64_t *out_id, struct error *err)
{
    char key[BLOB_STORAGE_KEY_SIZE];

    blob_key_make(sha256, random, key);
    return transaction_integer(tx,
                               "INSERT INTO blobs (sha256, size, storage_key, state, changed_at)"
                               " VALUES ($1, $2, $3, 'uploading', $4) RETURNING id",
                               VALUES(value_digest(sha256), value_integer((int64_t)size),
                                      value_text(key), value_integer(transaction_now_s(tx))),
                               out_id, err);
}

int blob_reprieve(struct transaction *tx, int64_t push_number, const struct digest *first,
                  const struct digest *last, struct error *err)
{
    struct digest lowest, highest;

    memset(lowest.bytes, 0, sizeof(lowest.bytes));
    memset(highest.bytes, 0xff, sizeof(highest.bytes));
    return transaction_run(tx,
                           "UPDATE blobs SET state = 'live', changed_at = $2"
                           " WHERE state = 'condemned' AND id IN (SELECT h.blob_id"
                           " FROM push_blobs h WHERE h.push = $1 AND h.sha256 BETWEEN $3 AND $4)",
                           VALUES(value_integer(push_number), value_integer(transaction_now_s(tx)),
                                  value_digest(first != NULL ? first : &lowest),
                                  value_digest(last != NULL ? last : &highest)),
                           err);
}

int tombstone_add(struct transaction *tx, const char *key, struct error *err)
{
    return transaction_run(tx,
                           "INSERT INTO tombstones (storage_key, created_at) VALUES ($1, $2)"
                           " ON CONFLICT DO NOTHING",
                           VALUES(value_text(key), value_integer(transaction_now_s(tx))), err);
}

int blob_end(struct transaction *tx, const struct blob *blob, struct error *err)
{
    int r = tombstone_add(tx, blob->key, err);

    if (r < 0)
        return r;
    return transaction_run(tx, "DELETE FROM blobs WHERE id = $1 AND state = 'uploading'",
                           VALUES(value_integer(blob->id)), err);
}

struct lookup {
    int64_t id;
    int64_t version_id;
    const struct digest *sha256;
    struct blob blob;
};

static int first_blob(struct rows *rows, struct blob *out, struct error *err)
{
    int r = blob_next(rows, out, err);

    return r == 0 ? error_set(err, -ENOENT, "no such blob") : r;
}

static int get(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct lookup *lookup = context;
    int r = transaction_query(tx, "SELECT " BLOB_COLUMNS " FROM blobs b WHERE b.id = $1",
                              VALUES(value_integer(lookup->id)), &rows, err);

    return r < 0 ? r : first_blob(&rows, &lookup->blob, err);
}

int blob_get(struct database *database, int64_t id, struct blob *out, struct error *err)
{
    struct lookup lookup = { .id = id };
    int r = transaction_read(database, get, &lookup, err);

    if (r < 0)
        return r;
    *out = lookup.blob;
    return 0;
}

static int look_for_key(struct transaction *tx, void *context, struct error *err)
{
    int64_t one;

    return transaction_integer(tx, "SELECT 1 FROM blobs WHERE storage_key = $1",
                               VALUES(value_text(context)), &one, err);
}

int blob_key_is_used(struct database *database, const char *key, struct error *err)
{
    int r = transaction_read(database, look_for_key, (void *)(uintptr_t)key, err);

    return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

static int get_of_version(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct lookup *lookup = context;
    int r =
        transaction_query(tx,
                          "SELECT " BLOB_COLUMNS
                          " FROM blobs b JOIN version_blobs e ON e.blob_id = b.id"
                          " WHERE e.version_id = $1 AND b.sha256 = $2 AND b.state <> 'uploading'",
                          VALUES(value_integer(lookup->version_id), value_digest(lookup->sha256)),
                          &rows, err);

    return r < 0 ? r : first_blob(&rows, &lookup->blob, err);
}

int blob_of_version(struct database *database, int64_t version_id, const struct digest *sha256,
                    struct blob *out, struct error *err)
{
    struct lookup lookup = { .version_id = version_id, .sha256 = sha256 };
    int r = transaction_read(database, get_of_version, &lookup, err);

    if (r < 0)
        return r;
    *out = lookup.blob;
    return 0;
}

struct damage {
    int64_t id;
    const char *key;
    enum blob_state state;
};

static int report(struct transaction *tx, void *context, struct error *err)
{
    struct damage *damage = context;
    /* One that was condemned is no candidate any more, and would stay for ever. */
    int r = transaction_run(tx,
                            "INSERT INTO gc_candidates (blob_id, since) SELECT id, $2 FROM blobs"
                            " WHERE id = $1 AND state = 'condemned' ON CONFLICT DO NOTHING",
                            VALUES(value_integer(damage->id), value_integer(transaction_now_s(tx))),
                            err);

    if (r < 0)
        return r;
    return transaction_run(tx,
                           "UPDATE blobs SET state = $3, changed_at = $4 WHERE id = $1"
                           " AND storage_key = $2 AND state IN ('live', 'condemned')",
                           VALUES(value_integer(damage->id), value_text(damage->key),
                                  value_text(blob_state_name(damage->state)),
                                  value_integer(transaction_now_s(tx))),
                           err);
}

int blob_report(struct database *database, int64_t id, const char *key, enum blob_state state,
                struct error *err)
{
    struct damage damage = { .id = id, .key = key, .state = state };

    assert(state == BLOB_MISSING || state == BLOB_CORRUPT);
    return transaction_write(database, report, &damage, err);
}

static int totals(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct blob_totals *out = context;
    enum blob_state state;
    int r = transaction_query(tx, "SELECT state, count(*), sum(size) FROM blobs GROUP BY state",
                              NO_VALUES, &rows, err);

    memset(out, 0, BLOB_STATE_COUNT * sizeof(*out));
    while (r >= 0 && (r = rows_next(&rows, err)) > 0) {
        r = blob_state_parse(rows_bytes(&rows, 0), &state, err);
        if (r < 0)
            break;
        out[state].count = (uint64_t)rows_integer(&rows, 1);
        out[state].bytes = (uint64_t)rows_integer(&rows, 2);
    }
    return r;
}

int blob_totals_get(struct database *database, struct blob_totals out[BLOB_STATE_COUNT],
                    struct error *err)
{
    struct blob_totals found[BLOB_STATE_COUNT];
    int r = transaction_read(database, totals, found, err);

    if (r >= 0)
        memcpy(out, found, sizeof(found));
    return r;
}
