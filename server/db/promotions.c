/* SPDX-License-Identifier: MIT */
#include "server/db/promotions.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/places.h"
#include "server/db/transaction.h"

#define PROMOTION_SELECT \
    "SELECT id, action = 'rollback', channel, version, previous, actor, note, at FROM promotions "

struct listing {
    const char *project, *app, *channel;
    int64_t before;
    size_t limit;
    struct promotion_entry *items;
    size_t count;
};

static int entry_read(struct rows *rows, struct promotion_entry *out, struct error *err)
{
    int r = rows_text(rows, 2, out->channel, sizeof(out->channel), err);

    out->id = rows_integer(rows, 0);
    out->is_rollback = rows_integer(rows, 1) != 0;
    out->at_s = rows_integer(rows, 7);
    if (r >= 0)
        r = rows_text(rows, 3, out->version, sizeof(out->version), err);
    if (r >= 0)
        r = rows_text(rows, 4, out->previous, sizeof(out->previous), err);
    if (r >= 0)
        r = rows_text(rows, 5, out->actor, sizeof(out->actor), err);
    if (r >= 0)
        r = rows_text_copy(rows, 6, &out->note, err);
    return r;
}

/* Each has an index of its own order. */
static int query(struct transaction *tx, const struct listing *listing, int64_t app_id,
                 struct rows *out, struct error *err)
{
    const int64_t before = listing->before == 0 ? INT64_MAX : listing->before;
    const int64_t limit = (int64_t)listing->limit;

    if (listing->channel == NULL)
        return transaction_query(
            tx, PROMOTION_SELECT "WHERE app_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
            VALUES(value_integer(app_id), value_integer(before), value_integer(limit)), out, err);
    return transaction_query(
        tx,
        PROMOTION_SELECT "WHERE app_id = $1 AND channel = $2 AND id < $3 ORDER BY id DESC LIMIT $4",
        VALUES(value_integer(app_id), value_text(listing->channel), value_integer(before),
               value_integer(limit)),
        out, err);
}

static int list(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct listing *listing = context;
    int64_t app_id;
    int r = place_find_any_app(tx, listing->project, listing->app, &app_id, err);

    if (r >= 0)
        r = query(tx, listing, app_id, &rows, err);
    while (r >= 0 && (r = rows_next(&rows, err)) > 0)
        r = entry_read(&rows, &listing->items[listing->count++], err);
    return r;
}

int promotion_list(struct database *database, const char *project, const char *app,
                   const char *channel, int64_t before, size_t limit,
                   struct promotion_entry **out_items, size_t *out_count, struct error *err)
{
    struct listing listing = {
        .project = project, .app = app, .channel = channel, .before = before, .limit = limit
    };
    int r;

    listing.items = memory_array(limit, sizeof(*listing.items));
    if (listing.items == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = transaction_read(database, list, &listing, err);
    if (r < 0) {
        promotion_list_free(listing.items, listing.count);
        return r;
    }
    *out_items = listing.items;
    *out_count = listing.count;
    return 0;
}

void promotion_entry_release(struct promotion_entry *entry)
{
    entry->note = memory_free(entry->note);
}

struct promotion_entry *promotion_list_free(struct promotion_entry *items, size_t count)
{
    for (size_t i = 0; items != NULL && i < count; i++)
        promotion_entry_release(&items[i]);
    return memory_free(items);
}
