/* SPDX-License-Identifier: MIT */
#include "common/base/error.h"
#include "server/db/driver.h"
#include "server/db/retention_rows.h"

struct taking {
    struct retention_page page;
    const struct actor *by;
};

static int take_one(struct transaction *tx, const struct taking *self, const struct retained *item,
                    struct error *err)
{
    const struct act act = { .operation = "version.trash",
                             .event = "version.trashed",
                             .project = item->project,
                             .app = item->app,
                             .version = item->version,
                             .data = "{\"reason\":\"retention\"}" };
    int r = transaction_run(tx,
                            "UPDATE versions SET state = 'trashed', trashed_at = $2,"
                            " trashed_by = $3, trash_reason = 'retention' WHERE id = $1",
                            VALUES(value_integer(item->id), value_integer(transaction_now_s(tx)),
                                   value_text(self->by->name)),
                            err);

    return r < 0 ? r : act_write(tx, self->by, &act, err);
}

/* The selection is asked in the transaction that writes, so what it says still holds. */
static int take(struct transaction *tx, void *context, struct error *err)
{
    struct taking *self = context;
    int r = retention_page_read(tx, &self->page, err);

    for (size_t i = 0; r >= 0 && i < self->page.count; i++)
        r = take_one(tx, self, &self->page.items[i], err);
    return r;
}

int retention_take(struct database *database, const struct retention_rules *rules,
                   const struct retention_scope *app, size_t limit, const struct actor *by,
                   struct retained *out_items, size_t *out_count, struct error *err)
{
    struct taking self = { .page = { .judging = { rules, app, 0, INT64_MAX },
                                     .last_verdict = RETENTION_GOES,
                                     .limit = limit,
                                     .items = out_items },
                           .by = by };
    int r = transaction_write(database, take, &self, err);

    if (r < 0)
        return r;
    if (self.page.count > 0)
        database_version_epoch_advance(database);
    *out_count = self.page.count;
    return 0;
}

struct freeing {
    const struct retained *items;
    size_t count;
    uint64_t bytes;
};

/* A blob that several of them have counts for the last one alone. */
static int sum_freed(struct transaction *tx, void *context, struct error *err)
{
    struct freeing *self = context;
    const int64_t last = self->count > 0 ? self->items[self->count - 1].id : 0;
    int r = 0;

    self->bytes = 0;
    for (size_t i = 0; r >= 0 && i < self->count; i++) {
        int64_t bytes = 0;

        r = transaction_integer(
            tx,
            "SELECT coalesce(sum(b.size), 0) FROM version_blobs e"
            " JOIN blobs b ON b.id = e.blob_id WHERE e.version_id = $1 AND NOT EXISTS"
            " (SELECT 1 FROM version_blobs o JOIN versions v ON v.id = o.version_id"
            " WHERE o.blob_id = e.blob_id AND (v.state = 'ready' OR (v.app_id = $2"
            " AND v.id > $1 AND v.id <= $3 AND v.trash_reason = 'retention')))",
            VALUES(value_integer(self->items[i].id), value_integer(self->items[i].app_id),
                   value_integer(last)),
            &bytes, err);
        self->bytes += (uint64_t)bytes;
    }
    return r;
}

int retention_freed(struct database *database, const struct retained *items, size_t count,
                    uint64_t *out_bytes, struct error *err)
{
    struct freeing self = { .items = items, .count = count };
    int r = transaction_read(database, sum_freed, &self, err);

    if (r == 0)
        *out_bytes = self.bytes;
    return r;
}
