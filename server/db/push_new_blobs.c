/* SPDX-License-Identifier: MIT */
#include "server/db/push_new_blobs.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/random.h"
#include "server/db/blob_rows.h"
#include "server/db/push_holds.h"
#include "server/db/push_rows.h"

#define STAND_IN "kkartifact-new-blob-1"

struct digest push_new_blob_stand_in(int64_t push_number, uint32_t number)
{
    struct digest_stream stream;

    digest_stream_init(&stream);
    digest_stream_add(&stream, STAND_IN, sizeof(STAND_IN));
    digest_stream_add(&stream, &push_number, sizeof(push_number));
    digest_stream_add(&stream, &number, sizeof(number));
    return digest_stream_end(&stream);
}

struct lookup {
    int64_t push;
    uint32_t number;
    uint64_t size;
    unsigned char random[8];
    struct push_new_blob found;
};

static int found_read(struct rows *rows, struct push_new_blob *out, struct error *err)
{
    struct push_blob *row = &out->row;
    struct span hash;
    int r = rows_digest(rows, BLOB_COLUMN_COUNT, &out->sha256, err);

    out->is_named = !rows_is_null(rows, BLOB_COLUMN_COUNT);
    if (r < 0 || out->is_named)
        return r;
    row->received = (uint64_t)rows_integer(rows, BLOB_COLUMN_COUNT + 1);
    hash = rows_bytes(rows, BLOB_COLUMN_COUNT + 2);
    row->has_hash = hash.size == sizeof(row->hash);
    if (row->has_hash)
        memcpy(row->hash, hash.bytes, sizeof(row->hash));
    return blob_read(rows, 0, &row->blob, err);
}

static int get(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct lookup *lookup = context;
    int r = transaction_query(tx,
                              "SELECT " BLOB_COLUMNS ", n.sha256, n.received, n.hash"
                              " FROM push_new_blobs n JOIN pushes s ON s.number = n.push"
                              " LEFT JOIN blobs b ON b.id = n.blob_id"
                              " WHERE n.push = $1 AND n.number = $2 AND s.expires_at > $3",
                              VALUES(value_integer(lookup->push), value_integer(lookup->number),
                                     value_integer(transaction_now_s(tx))),
                              &rows, err);

    lookup->found = (struct push_new_blob){ 0 };
    if (r >= 0)
        r = rows_next(&rows, err);
    if (r < 0)
        return r;
    if (r == 0)
        return error_set(err, -ENOENT, "the push has no such new blob");
    return found_read(&rows, &lookup->found, err);
}

int push_new_blob_get(struct database *database, int64_t push_number, uint32_t number,
                      struct push_new_blob *out, struct error *err)
{
    struct lookup lookup = { .push = push_number, .number = number };
    int r = transaction_read(database, get, &lookup, err);

    if (r >= 0)
        *out = lookup.found;
    return r;
}

static int add(struct transaction *tx, struct lookup *lookup, struct error *err)
{
    struct digest stand_in = push_new_blob_stand_in(lookup->push, lookup->number);
    int64_t id;
    int r = push_require_alive(tx, lookup->push, err);

    if (r >= 0)
        r = blob_begin(tx, &stand_in, lookup->size, lookup->random, &id, err);
    if (r >= 0)
        r = transaction_run(tx,
                            "INSERT INTO push_new_blobs (push, number, size, blob_id)"
                            " VALUES ($1, $2, $3, $4)",
                            VALUES(value_integer(lookup->push), value_integer(lookup->number),
                                   value_integer((int64_t)lookup->size), value_integer(id)),
                            err);
    return r < 0 ? r : get(tx, lookup, err);
}

static int get_or_add(struct transaction *tx, void *context, struct error *err)
{
    int r = get(tx, context, err);

    return r == -ENOENT ? add(tx, context, err) : r;
}

int push_new_blob_open(struct database *database, int64_t push_number, uint32_t number,
                       uint64_t size, struct push_new_blob *out, struct error *err)
{
    struct lookup lookup = { .push = push_number, .number = number, .size = size };
    int r = push_new_blob_get(database, push_number, number, out, err);

    assert(number < PUSH_NEW_BLOBS_MAX);
    if (r != -ENOENT)
        return r;
    r = random_bytes(lookup.random, sizeof(lookup.random), err);
    if (r >= 0)
        r = transaction_write(database, get_or_add, &lookup, err);
    if (r >= 0)
        *out = lookup.found;
    return r;
}

struct progress {
    int64_t push;
    uint32_t number;
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
                            "UPDATE push_new_blobs SET received = $3, hash = $4"
                            " WHERE push = $1 AND number = $2 AND sha256 IS NULL",
                            VALUES(value_integer(progress->push), value_integer(progress->number),
                                   value_integer((int64_t)progress->received), hash),
                            err);

    return r == 0 ? error_set(err, -ENOENT, "the push has no such new blob") : r;
}

int push_new_blob_progress(struct database *database, int64_t push_number, uint32_t number,
                           uint64_t received, struct span hash, struct error *err)
{
    struct progress progress = {
        .push = push_number, .number = number, .received = received, .hash = hash
    };

    assert(hash.size == 0 || hash.size == DIGEST_SAVED_SIZE);
    return transaction_write(database, progress_set, &progress, err);
}

struct naming {
    struct lookup lookup;
    const struct digest *sha256;
};

/* The name stays, the row is nobody's here any more. */
static int let_go(struct transaction *tx, const struct naming *naming, struct error *err)
{
    return transaction_run(tx,
                           "UPDATE push_new_blobs SET blob_id = NULL, hash = NULL, sha256 = $3"
                           " WHERE push = $1 AND number = $2",
                           VALUES(value_integer(naming->lookup.push),
                                  value_integer(naming->lookup.number),
                                  value_digest(naming->sha256)),
                           err);
}

/* Its row gets its digest, and the push the hold. */
static int hold(struct transaction *tx, const struct naming *naming, struct error *err)
{
    const struct push_blob *row = &naming->lookup.found.row;
    struct value hash = row->has_hash ? value_bytes(row->hash, sizeof(row->hash)) : value_null();
    int r = transaction_run(tx, "UPDATE blobs SET sha256 = $2 WHERE id = $1",
                            VALUES(value_integer(row->blob.id), value_digest(naming->sha256)), err);

    if (r < 0)
        return r;
    return transaction_run(
        tx,
        "INSERT INTO push_blobs (push, sha256, size, blob_id, sent, received, hash)"
        " VALUES ($1, $2, $3, $4, 1, $5, $6) ON CONFLICT (push, sha256) DO UPDATE"
        " SET blob_id = excluded.blob_id, sent = 1, received = excluded.received,"
        " hash = excluded.hash",
        VALUES(value_integer(naming->lookup.push), value_digest(naming->sha256),
               value_integer((int64_t)row->blob.size), value_integer(row->blob.id),
               value_integer((int64_t)row->received), hash),
        err);
}

/* Of two rows of the same bytes the one that has them stays; what is lost or damaged is healed by
 * those that came. */
static int meet(struct transaction *tx, const struct naming *naming, const struct blob *own,
                struct error *err)
{
    const struct blob *blob = &naming->lookup.found.row.blob;
    int r;

    if (own->size != blob->size)
        return error_set(err, -EINVAL, "the push has that blob with another size");
    if (own->state == BLOB_LIVE || own->state == BLOB_CONDEMNED)
        return blob_end(tx, blob, err);
    r = hold(tx, naming, err);
    return r < 0 || own->state != BLOB_UPLOADING ? r : blob_end(tx, own, err);
}

static int has_listing(struct transaction *tx, int64_t push, struct error *err)
{
    int64_t id;
    int r = transaction_integer(tx, "SELECT listing_blob_id FROM pushes WHERE number = $1",
                                VALUES(value_integer(push)), &id, err);

    return r < 0 ? r : id != 0;
}

static int name(struct transaction *tx, void *context, struct error *err)
{
    struct naming *naming = context;
    struct blob own;
    int r = get(tx, &naming->lookup, err);

    if (r < 0 || naming->lookup.found.is_named)
        return r;
    r = let_go(tx, naming, err);
    if (r >= 0)
        r = push_hold_find(tx, naming->lookup.push, naming->sha256, &own, err);
    if (r < 0)
        return r;
    if (r > 0)
        return meet(tx, naming, &own, err);
    r = has_listing(tx, naming->lookup.push, err);
    if (r > 0)
        return error_set(err, -ENOENT, "the push does not want that blob");
    return r < 0 ? r : hold(tx, naming, err);
}

int push_new_blob_name(struct database *database, int64_t push_number, uint32_t number,
                       const struct digest *sha256, struct error *err)
{
    struct naming naming = { .lookup = { .push = push_number, .number = number },
                             .sha256 = sha256 };

    return transaction_write(database, name, &naming, err);
}

struct walk {
    int64_t push;
    push_new_blob_each *each;
    void *context;
};

static int walk_named(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct walk *walk = context;
    struct digest sha256;
    int r = transaction_query(tx,
                              "SELECT sha256 FROM push_new_blobs WHERE push = $1"
                              " AND sha256 IS NOT NULL ORDER BY number",
                              VALUES(value_integer(walk->push)), &rows, err);

    while (r >= 0 && (r = rows_next(&rows, err)) > 0) {
        r = rows_digest(&rows, 0, &sha256, err);
        if (r >= 0)
            r = walk->each(walk->context, &sha256, err);
        if (r != 0)
            break;
    }
    return r;
}

int push_new_blob_walk(struct database *database, int64_t push_number, push_new_blob_each *each,
                       void *context, struct error *err)
{
    struct walk walk = { .push = push_number, .each = each, .context = context };

    return transaction_read(database, walk_named, &walk, err);
}
