/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "server/db/blob_rows.h"
#include "server/db/push_blobs.h"
#include "server/db/push_holds.h"

struct arrivals {
    int64_t number;
    const struct blob_done *done;
    size_t count;
};

/* 1 and another row of the same bytes that is not on its way, or 0. */
static int other_find(struct transaction *tx, const struct blob *arrived, struct blob *out,
                      struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    int r = transaction_query(tx,
                              "SELECT " BLOB_COLUMNS " FROM blobs b WHERE b.sha256 = $1"
                              " AND b.state <> 'uploading' AND b.id <> $2",
                              VALUES(value_digest(&arrived->sha256), value_integer(arrived->id)),
                              &rows, err);

    return r < 0 ? r : blob_next(&rows, out, err);
}

static int arrive_first(struct transaction *tx, const struct blob *arrived,
                        const struct blob_done *done, struct error *err)
{
    return transaction_run(tx,
                           "UPDATE blobs SET state = 'live', verity = $2, changed_at = $3"
                           " WHERE id = $1",
                           VALUES(value_integer(arrived->id), value_digest(&done->verity),
                                  value_integer(transaction_now_s(tx))),
                           err);
}

/* A row of these bytes is there: the hold moves to it, and the arrived row goes. */
static int arrived_drop(struct transaction *tx, int64_t number, const struct blob *arrived,
                        const struct blob *other, struct error *err)
{
    int r =
        transaction_run(tx, "UPDATE push_blobs SET blob_id = $3 WHERE push = $1 AND sha256 = $2",
                        VALUES(value_integer(number), value_digest(&arrived->sha256),
                               value_integer(other->id)),
                        err);

    if (r < 0)
        return r;
    return transaction_run(tx, "DELETE FROM blobs WHERE id = $1",
                           VALUES(value_integer(arrived->id)), err);
}

static int other_take_over(struct transaction *tx, const struct blob *other, const char *key,
                           const struct digest *verity, struct error *err)
{
    return transaction_run(tx,
                           "UPDATE blobs SET state = 'live', storage_key = $2, verity = $3,"
                           " changed_at = $4 WHERE id = $1",
                           VALUES(value_integer(other->id), value_text(key), value_digest(verity),
                                  value_integer(transaction_now_s(tx))),
                           err);
}

/* Healthy: the arrived object is surplus, and its row stays as versions know it. Lost or damaged:
 * healed by the arrived object, under its key. */
static int arrive_again(struct transaction *tx, int64_t number, const struct blob *arrived,
                        const struct blob *other, const struct blob_done *done, struct error *err)
{
    bool is_healthy = other->state == BLOB_LIVE || other->state == BLOB_CONDEMNED;
    int r = arrived_drop(tx, number, arrived, other, err);

    if (r >= 0)
        r = tombstone_add(tx, is_healthy ? arrived->key : other->key, err);
    if (r >= 0)
        r = other_take_over(tx, other, is_healthy ? other->key : arrived->key,
                            is_healthy ? &other->verity : &done->verity, err);
    return r;
}

static int arrive(struct transaction *tx, int64_t number, const struct blob_done *done,
                  struct error *err)
{
    struct blob arrived;
    struct blob other;
    int r = push_hold_find(tx, number, &done->sha256, &arrived, err);

    if (r == 0)
        return error_set(err, -ENOENT, "the push does not want that blob");
    if (r < 0 || arrived.state != BLOB_UPLOADING)
        return r;
    r = other_find(tx, &arrived, &other, err);
    if (r < 0)
        return r;
    if (r == 0)
        return arrive_first(tx, &arrived, done, err);
    return arrive_again(tx, number, &arrived, &other, done, err);
}

static int arrive_all(struct transaction *tx, void *context, struct error *err)
{
    struct arrivals *arrivals = context;
    int r = 0;

    for (size_t i = 0; i < arrivals->count && r >= 0; i++)
        r = arrive(tx, arrivals->number, &arrivals->done[i], err);
    return r;
}

int push_blobs_done(struct database *database, int64_t push_number, const struct blob_done *done,
                    size_t count, struct error *err)
{
    struct arrivals arrivals = { .number = push_number, .done = done, .count = count };

    return transaction_write(database, arrive_all, &arrivals, err);
}
