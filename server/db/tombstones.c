/* SPDX-License-Identifier: MIT */
#include "server/db/tombstones.h"

#include "server/db/transaction.h"

static int read(struct rows *rows, void *out_item, struct error *err)
{
    struct tombstone *out = out_item;

    out->tries = (uint64_t)rows_integer(rows, 1);
    return rows_text(rows, 0, out->key, sizeof(out->key), err);
}

int tombstone_list(struct database *database, size_t limit, struct tombstone **out_items,
                   size_t *out_count, struct error *err)
{
    static const struct row_shape shape = { .size = sizeof(struct tombstone), .read = read };
    void *items;
    int r = transaction_list(database,
                             "SELECT storage_key, tries FROM tombstones"
                             " ORDER BY tries, created_at, storage_key LIMIT $1",
                             VALUES(value_integer((int64_t)limit)), &shape, limit, &items,
                             out_count, err);

    if (r == 0)
        *out_items = items;
    return r;
}

struct question {
    const char *key;
    int64_t found;
};

static int has(struct transaction *tx, void *context, struct error *err)
{
    struct question *question = context;

    return transaction_integer(tx,
                               "SELECT EXISTS (SELECT 1 FROM tombstones WHERE storage_key = $1)",
                               VALUES(value_text(question->key)), &question->found, err);
}

int tombstone_has(struct database *database, const char *key, struct error *err)
{
    struct question question = { .key = key };
    int r = transaction_read(database, has, &question, err);

    return r < 0 ? r : question.found != 0;
}

int tombstone_done(struct database *database, const char *key, struct error *err)
{
    int r = transaction_run_alone(database, "DELETE FROM tombstones WHERE storage_key = $1",
                                  VALUES(value_text(key)), err);

    return r < 0 ? r : 0;
}

int tombstone_failed(struct database *database, const char *key, const char *reason,
                     struct error *err)
{
    int r = transaction_run_alone(database,
                                  "UPDATE tombstones SET tries = tries + 1, last_error = $2"
                                  " WHERE storage_key = $1",
                                  VALUES(value_text(key), value_text(reason)), err);

    return r < 0 ? r : 0;
}
