/* SPDX-License-Identifier: MIT */
#include "server/db/blob_walk.h"

#include "common/base/cleanup.h"
#include "server/db/blob_rows.h"

struct walking {
    int64_t after;
    size_t limit;
    struct blob *items;
    size_t count;
};

static int walk(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct walking *self = context;
    int r;

    self->count = 0;
    r = transaction_query(tx,
                          "SELECT " BLOB_COLUMNS " FROM blobs b WHERE b.id > $1"
                          " AND b.state <> 'uploading' ORDER BY b.id LIMIT $2",
                          VALUES(value_integer(self->after), value_integer((int64_t)self->limit)),
                          &rows, err);
    while (r >= 0 && (r = blob_next(&rows, &self->items[self->count], err)) > 0) {
        if (++self->count == self->limit)
            return 0;
    }
    return r;
}

int blob_walk(struct database *database, int64_t after, size_t limit, struct blob *out_items,
              size_t *out_count, struct error *err)
{
    struct walking self = { .after = after, .limit = limit, .items = out_items };
    int r = transaction_read(database, walk, &self, err);

    if (r == 0)
        *out_count = self.count;
    return r;
}

struct recovering {
    int64_t id;
    const char *key;
};

/* Whether anything refers to it is the sweep's to find out. */
static int recover(struct transaction *tx, void *context, struct error *err)
{
    struct recovering *self = context;
    int r = transaction_run(tx,
                            "UPDATE blobs SET state = 'live', changed_at = $3 WHERE id = $1"
                            " AND storage_key = $2 AND state IN ('missing', 'corrupt')",
                            VALUES(value_integer(self->id), value_text(self->key),
                                   value_integer(transaction_now_s(tx))),
                            err);

    if (r <= 0)
        return r;
    return transaction_run(
        tx, "INSERT INTO gc_candidates (blob_id, since) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        VALUES(value_integer(self->id), value_integer(transaction_now_s(tx))), err);
}

int blob_recovered(struct database *database, int64_t id, const char *key, struct error *err)
{
    struct recovering self = { .id = id, .key = key };

    return transaction_write(database, recover, &self, err);
}

static int version_read(struct rows *rows, void *out_item, struct error *err)
{
    struct broken_version *out = out_item;
    int r = rows_text(rows, 0, out->project, sizeof(out->project), err);

    if (r >= 0)
        r = rows_text(rows, 1, out->app, sizeof(out->app), err);
    if (r >= 0)
        r = rows_text(rows, 2, out->version, sizeof(out->version), err);
    out->blob_count = (uint64_t)rows_integer(rows, 3);
    out->id = rows_integer(rows, 4);
    return r;
}

static int list_versions(struct database *database, const char *sql, const struct value *values,
                         size_t value_count, size_t limit, struct broken_version **out_items,
                         size_t *out_count, struct error *err)
{
    static const struct row_shape shape = { .size = sizeof(struct broken_version),
                                            .read = version_read };
    void *items;
    int r =
        transaction_list(database, sql, values, value_count, &shape, limit, &items, out_count, err);

    if (r == 0)
        *out_items = items;
    return r;
}

#define BROKEN_FROM                                                          \
    " FROM blobs b CROSS JOIN version_blobs e"                               \
    " JOIN versions v ON v.id = e.version_id JOIN apps a ON a.id = v.app_id" \
    " JOIN projects p ON p.id = a.project_id WHERE e.blob_id = b.id"

int broken_version_list(struct database *database, size_t limit, struct broken_version **out_items,
                        size_t *out_count, struct error *err)
{
    return list_versions(database,
                         "SELECT p.name, a.name, v.name, count(*), v.id" BROKEN_FROM
                         " AND b.state IN ('missing', 'corrupt')"
                         " GROUP BY v.id, p.name, a.name, v.name ORDER BY v.id LIMIT $1",
                         VALUES(value_integer((int64_t)limit)), limit, out_items, out_count, err);
}

int blob_version_list(struct database *database, int64_t blob_id, size_t limit,
                      struct broken_version **out_items, size_t *out_count, struct error *err)
{
    return list_versions(database,
                         "SELECT p.name, a.name, v.name, 1, v.id" BROKEN_FROM
                         " AND b.id = $1 ORDER BY v.id LIMIT $2",
                         VALUES(value_integer(blob_id), value_integer((int64_t)limit)), limit,
                         out_items, out_count, err);
}
