/* SPDX-License-Identifier: MIT */
#include "server/db/tombstones.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/transaction.h"

struct listing {
    size_t limit;
    struct tombstone *items;
    size_t count;
};

static int list(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct listing *listing = context;
    struct tombstone *item;
    int r = transaction_query(tx,
                              "SELECT storage_key, tries FROM tombstones"
                              " ORDER BY tries, created_at, storage_key LIMIT $1",
                              VALUES(value_integer((int64_t)listing->limit)), &rows, err);

    while (r >= 0 && (r = rows_next(&rows, err)) > 0) {
        item = &listing->items[listing->count++];
        item->tries = (uint64_t)rows_integer(&rows, 1);
        r = rows_text(&rows, 0, item->key, sizeof(item->key), err);
    }
    return r;
}

int tombstone_list(struct database *database, size_t limit, struct tombstone **out_items,
                   size_t *out_count, struct error *err)
{
    cleanup_memory struct tombstone *items = memory_array(limit, sizeof(*items));
    struct listing listing = { .limit = limit, .items = items };
    int r;

    if (items == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = transaction_read(database, list, &listing, err);
    if (r < 0)
        return r;
    *out_items = listing.count == 0 ? NULL : take_pointer(&items);
    *out_count = listing.count;
    return 0;
}

struct outcome {
    const char *key, *reason;
    int64_t found;
};

static int has(struct transaction *tx, void *context, struct error *err)
{
    struct outcome *outcome = context;

    return transaction_integer(tx,
                               "SELECT EXISTS (SELECT 1 FROM tombstones WHERE storage_key = $1)",
                               VALUES(value_text(outcome->key)), &outcome->found, err);
}

int tombstone_has(struct database *database, const char *key, struct error *err)
{
    struct outcome outcome = { .key = key };
    int r = transaction_read(database, has, &outcome, err);

    return r < 0 ? r : outcome.found != 0;
}

static int done(struct transaction *tx, void *context, struct error *err)
{
    struct outcome *outcome = context;

    return transaction_run(tx, "DELETE FROM tombstones WHERE storage_key = $1",
                           VALUES(value_text(outcome->key)), err);
}

int tombstone_done(struct database *database, const char *key, struct error *err)
{
    struct outcome outcome = { .key = key };

    return transaction_write(database, done, &outcome, err);
}

static int failed(struct transaction *tx, void *context, struct error *err)
{
    struct outcome *outcome = context;

    return transaction_run(tx,
                           "UPDATE tombstones SET tries = tries + 1, last_error = $2"
                           " WHERE storage_key = $1",
                           VALUES(value_text(outcome->key), value_text(outcome->reason)), err);
}

int tombstone_failed(struct database *database, const char *key, const char *reason,
                     struct error *err)
{
    struct outcome outcome = { .key = key, .reason = reason };

    return transaction_write(database, failed, &outcome, err);
}
