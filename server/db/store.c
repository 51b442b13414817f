/* SPDX-License-Identifier: MIT */
#include "server/db/store.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/random.h"
#include "common/codec/hex.h"
#include "server/db/store_founding.h"
#include "server/db/transaction.h"

/* A random UUID (RFC 9562, version 4). */
static int uuid_make(char out[STORE_ID_SIZE], struct error *err)
{
    static const size_t group_ends[] = { 4, 6, 8, 10, 16 };
    uint8_t bytes[16];
    size_t from = 0;
    char *at = out;
    int r = random_bytes(bytes, sizeof(bytes), err);

    if (r < 0)
        return r;
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    for (size_t i = 0; i < sizeof(group_ends) / sizeof(group_ends[0]); i++) {
        if (i > 0)
            *at++ = '-';
        hex_encode(bytes + from, group_ends[i] - from, at);
        at += 2 * (group_ends[i] - from);
        from = group_ends[i];
    }
    return 0;
}

int store_found(struct transaction *tx, int64_t now_s, struct error *err)
{
    char id[STORE_ID_SIZE];
    int r = uuid_make(id, err);

    if (r < 0)
        return r;
    return transaction_run(tx,
                           "INSERT INTO store (one, id, created_at) VALUES (1, $1, $2)"
                           " ON CONFLICT DO NOTHING",
                           VALUES(value_text(id), value_integer(now_s)), err);
}

static int get(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct store *out = context;
    int r = transaction_query(tx,
                              "SELECT id, created_at, NOT EXISTS (SELECT 1 FROM blobs)"
                              " AND NOT EXISTS (SELECT 1 FROM names) FROM store WHERE one = 1",
                              NO_VALUES, &rows, err);

    if (r >= 0)
        r = rows_next(&rows, err);
    if (r < 0)
        return r;
    if (r == 0)
        return error_set(err, -EBADMSG, "the database has no store");
    out->created_at_s = rows_integer(&rows, 1);
    out->is_new = rows_integer(&rows, 2) != 0;
    return rows_text(&rows, 0, out->id, sizeof(out->id), err);
}

int store_get(struct database *database, struct store *out, struct error *err)
{
    struct store store;
    int r = transaction_read(database, get, &store, err);

    if (r < 0)
        return r;
    *out = store;
    return 0;
}

int store_require(struct database *database, const char *id, struct error *err)
{
    struct store store;
    int r = store_get(database, &store, err);

    if (r < 0)
        return r;
    if (strcmp(store.id, id) != 0)
        return error_set(err, -EBADMSG, "the database belongs to store %s, not to %s", store.id,
                         id);
    return 0;
}
