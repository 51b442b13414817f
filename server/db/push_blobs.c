/* SPDX-License-Identifier: MIT */
#include "server/db/push_blobs.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/random.h"
#include "server/db/blob_rows.h"
#include "server/db/push_holds.h"
#include "server/db/push_rows.h"

struct lookup {
    int64_t number;
    const struct digest *sha256;
    unsigned char random[8];
    struct push_blob found;
};

static int found_read(struct rows *rows, struct push_blob *out, struct error *err)
{
    struct span hash;
    int r = blob_read(rows, 0, &out->blob, err);

    out->received = (uint64_t)rows_integer(rows, BLOB_COLUMN_COUNT);
    hash = rows_bytes(rows, BLOB_COLUMN_COUNT + 1);
    out->has_hash = hash.size == sizeof(out->hash);
    if (out->has_hash)
        memcpy(out->hash, hash.bytes, sizeof(out->hash));
    return r;
}

static int get(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct lookup *lookup = context;
    int r = transaction_query(tx,
                              "SELECT " BLOB_COLUMNS ", h.received, h.hash FROM push_blobs h"
                              " JOIN blobs b ON b.id = h.blob_id JOIN pushes s ON s.number = h.push"
                              " WHERE h.push = $1 AND h.sha256 = $2 AND s.expires_at > $3",
                              VALUES(value_integer(lookup->number), value_digest(lookup->sha256),
                                     value_integer(transaction_now_s(tx))),
                              &rows, err);

    if (r >= 0)
        r = rows_next(&rows, err);
    if (r < 0)
        return r;
    if (r == 0)
        return error_set(err, -ENOENT, "the push does not want that blob");
    return found_read(&rows, &lookup->found, err);
}

static bool is_damaged(const struct push_blob *found)
{
    return found->blob.state == BLOB_MISSING || found->blob.state == BLOB_CORRUPT;
}

/* The store lost it while it was held: it has to be sent after all. */
static int get_anew(struct transaction *tx, void *context, struct error *err)
{
    struct lookup *lookup = context;
    int r = get(tx, lookup, err);

    if (r < 0 || !is_damaged(&lookup->found))
        return r;
    r = push_hold_renew(tx, lookup->number, lookup->sha256, lookup->found.blob.size, lookup->random,
                        err);
    return r < 0 ? r : get(tx, lookup, err);
}

int push_blob_get(struct database *database, int64_t push_number, const struct digest *sha256,
                  struct push_blob *out, struct error *err)
{
    struct lookup lookup = { .number = push_number, .sha256 = sha256 };
    int r = transaction_read(database, get, &lookup, err);

    if (r >= 0 && is_damaged(&lookup.found)) {
        r = random_bytes(lookup.random, sizeof(lookup.random), err);
        if (r >= 0)
            r = transaction_write(database, get_anew, &lookup, err);
    }
    if (r >= 0)
        *out = lookup.found;
    return r;
}

struct progress {
    int64_t number;
    const struct digest *sha256;
    uint64_t received;
    struct span hash;
};

static int progress_set(struct transaction *tx, void *context, struct error *err)
{
    struct progress *progress = context;
    struct value hash = progress->hash.size == 0
                            ? value_null()
                            : value_bytes(progress->hash.bytes, progress->hash.size);
    int r = transaction_run(tx,
                            "UPDATE push_blobs SET received = $3, hash = $4"
                            " WHERE push = $1 AND sha256 = $2",
                            VALUES(value_integer(progress->number), value_digest(progress->sha256),
                                   value_integer((int64_t)progress->received), hash),
                            err);

    return r == 0 ? error_set(err, -ENOENT, "the push does not want that blob") : r;
}

int push_blob_progress(struct database *database, int64_t push_number, const struct digest *sha256,
                       uint64_t received, struct span hash, struct error *err)
{
    struct progress progress = {
        .number = push_number, .sha256 = sha256, .received = received, .hash = hash
    };

    assert(hash.size == 0 || hash.size == DIGEST_SAVED_SIZE);
    return transaction_write(database, progress_set, &progress, err);
}

struct walk {
    int64_t number;
    push_missing_each *missing;
    push_present_each *present;
    void *context;
};

static int walk_missing(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct walk *walk = context;
    struct digest sha256;
    int r = transaction_query(tx,
                              "SELECT h.sha256, h.size FROM push_blobs h"
                              " JOIN blobs b ON b.id = h.blob_id WHERE h.push = $1"
                              " AND b.state NOT IN ('live', 'condemned') ORDER BY h.sha256",
                              VALUES(value_integer(walk->number)), &rows, err);

    while (r >= 0 && (r = rows_next(&rows, err)) > 0) {
        r = rows_digest(&rows, 0, &sha256, err);
        if (r >= 0)
            r = walk->missing(walk->context, &sha256, (uint64_t)rows_integer(&rows, 1), err);
        if (r != 0)
            break;
    }
    return r;
}

int push_missing_walk(struct database *database, int64_t push_number, push_missing_each *each,
                      void *context, struct error *err)
{
    struct walk walk = { .number = push_number, .missing = each, .context = context };

    return transaction_read(database, walk_missing, &walk, err);
}

static int walk_present(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct walk *walk = context;
    struct blob blob;
    int r = transaction_query(tx,
                              "SELECT " BLOB_COLUMNS " FROM push_blobs h"
                              " JOIN blobs b ON b.id = h.blob_id WHERE h.push = $1"
                              " AND b.state IN ('live', 'condemned') ORDER BY h.sha256",
                              VALUES(value_integer(walk->number)), &rows, err);

    while (r >= 0 && (r = rows_next(&rows, err)) > 0) {
        r = blob_read(&rows, 0, &blob, err);
        if (r >= 0)
            r = walk->present(walk->context, &blob, err);
        if (r != 0)
            break;
    }
    return r;
}

int push_present_walk(struct database *database, int64_t push_number, push_present_each *each,
                      void *context, struct error *err)
{
    struct walk walk = { .number = push_number, .present = each, .context = context };

    return transaction_read(database, walk_present, &walk, err);
}

struct counting {
    int64_t number;
    int64_t present, missing;
};

static int count(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct counting *counting = context;
    int r = transaction_query(tx,
                              "SELECT count(*), sum(CASE WHEN b.state IN ('live', 'condemned')"
                              " THEN 1 ELSE 0 END) FROM push_blobs h"
                              " JOIN blobs b ON b.id = h.blob_id WHERE h.push = $1",
                              VALUES(value_integer(counting->number)), &rows, err);

    if (r >= 0)
        r = rows_next(&rows, err);
    if (r <= 0)
        return r;
    counting->present = rows_integer(&rows, 1);
    counting->missing = rows_integer(&rows, 0) - counting->present;
    return 0;
}

int push_blob_count(struct database *database, int64_t push_number, uint64_t *out_present,
                    uint64_t *out_missing, struct error *err)
{
    struct counting counting = { .number = push_number };
    int r = transaction_read(database, count, &counting, err);

    if (r < 0)
        return r;
    *out_present = (uint64_t)counting.present;
    *out_missing = (uint64_t)counting.missing;
    return 0;
}

struct dropping {
    int64_t push;
    const struct digest *sha256;
};

/* A hold that is none of the push's documents. */
static int stray_find(struct transaction *tx, const struct dropping *dropping, struct blob *out,
                      struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    int r = transaction_query(
        tx,
        "SELECT " BLOB_COLUMNS " FROM push_blobs h JOIN blobs b ON b.id = h.blob_id"
        " JOIN pushes s ON s.number = h.push WHERE h.push = $1 AND h.sha256 = $2"
        " AND h.sha256 <> coalesce(s.content, x'') AND h.sha256 <> coalesce(s.times, x'')",
        VALUES(value_integer(dropping->push), value_digest(dropping->sha256)), &rows, err);

    return r < 0 ? r : blob_next(&rows, out, err);
}

static int drop(struct transaction *tx, void *context, struct error *err)
{
    const struct dropping *dropping = context;
    struct blob blob;
    int r = stray_find(tx, dropping, &blob, err);

    if (r <= 0)
        return r;
    r = transaction_run(tx, "DELETE FROM push_blobs WHERE push = $1 AND sha256 = $2",
                        VALUES(value_integer(dropping->push), value_digest(dropping->sha256)), err);
    if (r >= 0 && blob.state == BLOB_UPLOADING)
        return blob_end(tx, &blob, err);
    if (r < 0)
        return r;
    return transaction_run(tx,
                           "INSERT INTO gc_candidates (blob_id, since) VALUES ($1, $2)"
                           " ON CONFLICT DO NOTHING",
                           VALUES(value_integer(blob.id), value_integer(transaction_now_s(tx))),
                           err);
}

int push_blob_drop(struct database *database, int64_t push_number, const struct digest *sha256,
                   struct error *err)
{
    struct dropping dropping = { .push = push_number, .sha256 = sha256 };

    return transaction_write(database, drop, &dropping, err);
}
