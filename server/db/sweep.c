/* SPDX-License-Identifier: MIT */
#include "server/db/sweep.h"

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "server/db/transaction.h"

/* Of blobs b. Versions have an edge to their parts, too; the columns are asked all the same. */
#define REFERENCED                                                         \
    "(EXISTS (SELECT 1 FROM version_blobs r WHERE r.blob_id = b.id)"       \
    " OR EXISTS (SELECT 1 FROM push_blobs r WHERE r.blob_id = b.id)"       \
    " OR EXISTS (SELECT 1 FROM push_bases r WHERE r.blob_id = b.id)"       \
    " OR EXISTS (SELECT 1 FROM push_new_blobs r WHERE r.blob_id = b.id)"   \
    " OR EXISTS (SELECT 1 FROM versions r WHERE r.listing_blob_id = b.id)" \
    " OR EXISTS (SELECT 1 FROM versions r WHERE r.times_blob_id = b.id)"   \
    " OR EXISTS (SELECT 1 FROM versions r WHERE r.tree_blob_id = b.id)"    \
    " OR EXISTS (SELECT 1 FROM pushes r WHERE r.listing_blob_id = b.id)"   \
    " OR EXISTS (SELECT 1 FROM pushes r WHERE r.times_blob_id = b.id)"     \
    " OR EXISTS (SELECT 1 FROM pushes r WHERE r.tree_blob_id = b.id))"

struct sweeping {
    int64_t after;
    int64_t grace_s;
    size_t limit;
    struct sweep_batch batch;
};

/* ------------------------------------------------------------ candidates */

/* A batch is the candidates in (after, last]. */
static int batch_find(struct transaction *tx, struct sweeping *self, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    int r =
        transaction_query(tx,
                          "SELECT blob_id FROM gc_candidates WHERE blob_id > $1"
                          " ORDER BY blob_id LIMIT $2",
                          VALUES(value_integer(self->after), value_integer((int64_t)self->limit)),
                          &rows, err);

    while (r >= 0 && (r = rows_next(&rows, err)) > 0) {
        self->batch.last = rows_integer(&rows, 0);
        self->batch.looked_at++;
    }
    return r;
}

/* Here and below the candidates are walked, and blobs found by them, for which CROSS JOIN has the
 * planner of SQLite: between two candidates of a batch may lie all blobs of the store. */
#define IN_BATCH "SELECT c.blob_id FROM gc_candidates c WHERE c.blob_id > $1 AND c.blob_id <= $2"

static int batch_run(struct transaction *tx, const struct sweeping *self, const char *sql,
                     size_t *out_count, struct error *err)
{
    int r =
        transaction_run(tx, sql,
                        VALUES(value_integer(self->after), value_integer(self->batch.last)), err);

    *out_count = r < 0 ? 0 : (size_t)r;
    return r;
}

static int condemn(struct transaction *tx, struct sweeping *self, struct error *err)
{
    size_t forgotten;
    int r = transaction_run(tx,
                            "UPDATE blobs SET state = 'condemned', changed_at = $3"
                            " WHERE state = 'live' AND id IN (" IN_BATCH ")",
                            VALUES(value_integer(self->after), value_integer(self->batch.last),
                                   value_integer(transaction_now_s(tx))),
                            err);

    if (r < 0)
        return r;
    self->batch.condemned = (size_t)r;
    return batch_run(tx, self,
                     "DELETE FROM gc_candidates WHERE blob_id > $1 AND blob_id <= $2"
                     " AND blob_id IN (SELECT c.blob_id FROM gc_candidates c CROSS JOIN blobs b"
                     " WHERE b.id = c.blob_id AND c.blob_id > $1 AND c.blob_id <= $2"
                     " AND b.state = 'condemned')",
                     &forgotten, err);
}

/* What has no bytes that anybody could want again, candidates for long enough. */
#define RUINED                                                                   \
    "SELECT b.id FROM gc_candidates c CROSS JOIN blobs b WHERE b.id = c.blob_id" \
    " AND c.blob_id > $1 AND c.blob_id <= $2 AND c.since <= $3"                  \
    " AND b.state IN ('missing', 'corrupt', 'uploading')"

static int delete_ruined(struct transaction *tx, struct sweeping *self, struct error *err)
{
    const int64_t now_s = transaction_now_s(tx);
    int r = transaction_run(tx,
                            "INSERT INTO tombstones (storage_key, created_at)"
                            " SELECT b.storage_key, $4 FROM blobs b WHERE b.id IN (" RUINED ")"
                            " ON CONFLICT DO NOTHING",
                            VALUES(value_integer(self->after), value_integer(self->batch.last),
                                   value_integer(now_s - self->grace_s), value_integer(now_s)),
                            err);

    if (r >= 0)
        r = transaction_run(tx, "DELETE FROM blobs WHERE id IN (" RUINED ")",
                            VALUES(value_integer(self->after), value_integer(self->batch.last),
                                   value_integer(now_s - self->grace_s)),
                            err);
    if (r >= 0)
        self->batch.deleted = (size_t)r;
    return r;
}

static int mark(struct transaction *tx, void *context, struct error *err)
{
    struct sweeping *self = context;
    int r;

    self->batch = (struct sweep_batch){ .last = self->after };
    r = batch_find(tx, self, err);
    if (r < 0 || self->batch.looked_at == 0)
        return r;
    r = batch_run(tx, self,
                  "DELETE FROM gc_candidates WHERE blob_id > $1 AND blob_id <= $2"
                  " AND blob_id IN (SELECT b.id FROM blobs b WHERE b.id > $1 AND b.id <= $2"
                  " AND b.id IN (" IN_BATCH ") AND " REFERENCED ")",
                  &self->batch.kept, err);
    if (r >= 0)
        r = condemn(tx, self, err);
    return r < 0 ? r : delete_ruined(tx, self, err);
}

int sweep_mark(struct database *database, int64_t after, int64_t grace_s, size_t limit,
               struct sweep_batch *out, struct error *err)
{
    struct sweeping self = { .after = after, .grace_s = grace_s, .limit = limit };
    int r = transaction_write(database, mark, &self, err);

    if (r == 0)
        *out = self.batch;
    return r;
}

/* ------------------------------------------------------------ condemned ones */

/* The batch: those up to the last one of the first `limit` whose grace is over, by the time and the
 * id. */
#define DUE                                        \
    "b.state = 'condemned' AND b.changed_at <= $1" \
    " AND (b.changed_at < $2 OR (b.changed_at = $2 AND b.id <= $3))"

struct due {
    int64_t before_s;
    int64_t last_at, last_id;
};

static int due_find(struct transaction *tx, struct sweeping *self, struct due *due,
                    struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    int r =
        transaction_query(tx,
                          "SELECT changed_at, id FROM blobs WHERE state = 'condemned'"
                          " AND changed_at <= $1 ORDER BY changed_at, id LIMIT $2",
                          VALUES(value_integer(due->before_s), value_integer((int64_t)self->limit)),
                          &rows, err);

    while (r >= 0 && (r = rows_next(&rows, err)) > 0) {
        due->last_at = rows_integer(&rows, 0);
        due->last_id = rows_integer(&rows, 1);
        self->batch.looked_at++;
    }
    return r;
}

#define DUE_VALUES(due) \
    value_integer((due)->before_s), value_integer((due)->last_at), value_integer((due)->last_id)

static int due_count(struct transaction *tx, struct sweeping *self, const struct due *due,
                     struct error *err)
{
    int64_t bytes;
    int r = transaction_integer(tx, "SELECT coalesce(sum(b.size), 0) FROM blobs b WHERE " DUE,
                                VALUES(DUE_VALUES(due)), &bytes, err);

    if (r >= 0)
        self->batch.deleted_bytes = (uint64_t)bytes;
    return r;
}

/* The rows go before the bytes, and the database refuses to drop what is referred to. */
static int due_drop(struct transaction *tx, struct sweeping *self, const struct due *due,
                    struct error *err)
{
    int r = transaction_run(tx,
                            "INSERT INTO tombstones (storage_key, created_at)"
                            " SELECT b.storage_key, $4 FROM blobs b WHERE " DUE
                            " ON CONFLICT DO NOTHING",
                            VALUES(DUE_VALUES(due), value_integer(transaction_now_s(tx))), err);

    if (r >= 0)
        r = transaction_run(tx,
                            "DELETE FROM blobs WHERE id IN (SELECT b.id FROM blobs b WHERE " DUE
                            ")",
                            VALUES(DUE_VALUES(due)), err);
    if (r >= 0)
        self->batch.deleted = (size_t)r;
    return r;
}

static int delete (struct transaction *tx, void *context, struct error *err)
{
    struct sweeping *self = context;
    struct due due = { .before_s = transaction_now_s(tx) - self->grace_s };
    int r;

    self->batch = (struct sweep_batch){ .last = 0 };
    r = due_find(tx, self, &due, err);
    if (r < 0 || self->batch.looked_at == 0)
        return r;
    r = transaction_run(tx,
                        "UPDATE blobs SET state = 'live', changed_at = $4 WHERE id IN"
                        " (SELECT b.id FROM blobs b WHERE " DUE " AND " REFERENCED ")",
                        VALUES(DUE_VALUES(&due), value_integer(transaction_now_s(tx))), err);
    if (r < 0)
        return r;
    self->batch.kept = (size_t)r;
    r = due_count(tx, self, &due, err);
    return r < 0 ? r : due_drop(tx, self, &due, err);
}

int sweep_delete(struct database *database, int64_t grace_s, size_t limit, struct sweep_batch *out,
                 struct error *err)
{
    struct sweeping self = { .grace_s = grace_s, .limit = limit };
    int r = transaction_write(database, delete, &self, err);

    if (r == 0)
        *out = self.batch;
    return r;
}

/* ------------------------------------------------------------ looking */

struct looking {
    int64_t grace_s;
    struct sweep_preview preview;
};

static int count_pair(struct transaction *tx, const char *sql, const struct value *values,
                      size_t count, uint64_t *out_count, uint64_t *out_bytes, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    int r = transaction_query(tx, sql, values, count, &rows, err);

    if (r >= 0)
        r = rows_next(&rows, err);
    if (r <= 0)
        return r;
    *out_count = (uint64_t)rows_integer(&rows, 0);
    *out_bytes = (uint64_t)rows_integer(&rows, 1);
    return 0;
}

#define COUNT_AND_BYTES "SELECT count(*), coalesce(sum(b.size), 0) FROM "

static int look(struct transaction *tx, void *context, struct error *err)
{
    struct looking *self = context;
    struct sweep_preview *out = &self->preview;
    uint64_t bytes;
    int r =
        count_pair(tx, COUNT_AND_BYTES "gc_candidates c CROSS JOIN blobs b WHERE b.id = c.blob_id",
                   NO_VALUES, &out->candidates, &bytes, err);

    if (r >= 0)
        r = count_pair(tx,
                       COUNT_AND_BYTES "gc_candidates c CROSS JOIN blobs b"
                                       " WHERE b.id = c.blob_id AND b.state = 'live'"
                                       " AND NOT " REFERENCED,
                       NO_VALUES, &out->unreferenced, &out->unreferenced_bytes, err);
    if (r >= 0)
        r = count_pair(tx, COUNT_AND_BYTES "blobs b WHERE b.state = 'condemned'", NO_VALUES,
                       &out->condemned, &out->condemned_bytes, err);
    if (r >= 0)
        r = count_pair(tx,
                       COUNT_AND_BYTES "blobs b WHERE b.state = 'condemned'"
                                       " AND b.changed_at <= $1 AND NOT " REFERENCED,
                       VALUES(value_integer(transaction_now_s(tx) - self->grace_s)), &out->due,
                       &out->due_bytes, err);
    if (r >= 0)
        r = count_pair(tx, "SELECT count(*), 0 FROM tombstones", NO_VALUES, &out->tombstones,
                       &bytes, err);
    return r;
}

int sweep_look(struct database *database, int64_t grace_s, struct sweep_preview *out,
               struct error *err)
{
    struct looking self = { .grace_s = grace_s };
    int r = transaction_read(database, look, &self, err);

    if (r == 0)
        *out = self.preview;
    return r;
}

struct question {
    int64_t grace_s;
    int64_t answer;
};

/* One that is ruined is a candidate until its grace is over. */
static int is_due(struct transaction *tx, void *context, struct error *err)
{
    struct question *self = context;

    return transaction_integer(
        tx,
        "SELECT EXISTS (SELECT 1 FROM gc_candidates c JOIN blobs b ON b.id = c.blob_id"
        " WHERE b.state IN ('live', 'condemned') OR c.since <= $1)"
        " OR EXISTS (SELECT 1 FROM blobs WHERE state = 'condemned' AND changed_at <= $1)",
        VALUES(value_integer(transaction_now_s(tx) - self->grace_s)), &self->answer, err);
}

int sweep_is_due(struct database *database, int64_t grace_s, struct error *err)
{
    struct question self = { .grace_s = grace_s };
    int r = transaction_read(database, is_due, &self, err);

    return r < 0 ? r : self.answer != 0;
}

static int count_all(struct transaction *tx, void *context, struct error *err)
{
    struct sweep_counts *out = context;
    int64_t counts[3];
    int r = transaction_integer(tx, "SELECT count(*) FROM blobs WHERE state = 'condemned'",
                                NO_VALUES, &counts[0], err);

    if (r >= 0)
        r = transaction_integer(tx,
                                "SELECT count(*) FROM blobs WHERE state IN ('missing', 'corrupt')",
                                NO_VALUES, &counts[1], err);
    if (r >= 0)
        r = transaction_integer(tx, "SELECT count(*) FROM tombstones", NO_VALUES, &counts[2], err);
    if (r < 0)
        return r;
    *out = (struct sweep_counts){ .condemned = (uint64_t)counts[0],
                                  .broken = (uint64_t)counts[1],
                                  .tombstones = (uint64_t)counts[2] };
    return 0;
}

int sweep_count(struct database *database, struct sweep_counts *out, struct error *err)
{
    return transaction_read(database, count_all, out, err);
}
