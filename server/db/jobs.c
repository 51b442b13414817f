/* SPDX-License-Identifier: MIT */
#include "server/db/jobs.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/job_rows.h"

struct lookup {
    const char *id;
    struct job job;
};

static int get(struct transaction *tx, void *context, struct error *err)
{
    struct lookup *lookup = context;

    return job_find_id(tx, lookup->id, &lookup->job, err);
}

int job_get(struct database *database, const char *id, struct job *out, struct error *err)
{
    struct lookup lookup = { .id = id };
    int r = transaction_read(database, get, &lookup, err);

    if (r < 0) {
        job_release(&lookup.job);
        return r;
    }
    *out = lookup.job;
    return 0;
}

struct listing {
    const struct job_scope *scope;
    int64_t before;
    size_t limit;
    struct job *items;
    size_t count;
};

static int list(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct listing *listing = context;
    int r;

    listing->count = 0;
    r = transaction_query(
        tx,
        JOB_SELECT "WHERE j.number < $1 AND ($2 = '' OR j.project = $2) AND ($3 = '' OR j.app = $3)"
                   " AND ($4 = 0 OR j.project IS NOT NULL) ORDER BY j.number DESC LIMIT $5",
        VALUES(value_integer(listing->before > 0 ? listing->before : INT64_MAX),
               value_text(listing->scope->project), value_text(listing->scope->app),
               value_integer(listing->scope->placed), value_integer((int64_t)listing->limit)),
        &rows, err);
    while (r >= 0 && (r = job_next(&rows, &listing->items[listing->count], err)) > 0)
        listing->count++;
    return r;
}

int job_list(struct database *database, const struct job_scope *scope, int64_t before, size_t limit,
             struct job **out_items, size_t *out_count, struct error *err)
{
    struct listing listing = { .scope = scope, .before = before, .limit = limit };
    int r;

    listing.items = memory_array(limit + 1, sizeof(*listing.items));
    if (listing.items == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = transaction_read(database, list, &listing, err);
    if (r < 0) {
        job_list_free(listing.items, limit + 1);
        return r;
    }
    *out_items = listing.items;
    *out_count = listing.count;
    return 0;
}

struct forgetting {
    int64_t before_s;
    size_t limit;
    int count;
};

/* Those that job_last_done() tells of. */
#define IS_LAST                                                       \
    "j.state = 'done' AND j.project IS NULL AND NOT EXISTS (SELECT 1" \
    " FROM jobs l WHERE l.kind = j.kind AND l.state = 'done'"         \
    " AND l.project IS NULL AND l.started_at <= $3"                   \
    " AND (l.started_at, l.number) > (j.started_at, j.number))"

static int forget(struct transaction *tx, void *context, struct error *err)
{
    struct forgetting *self = context;

    self->count =
        transaction_run(tx,
                        "DELETE FROM jobs WHERE number IN (SELECT j.number FROM jobs j"
                        " WHERE j.finished_at < $1 AND NOT (" IS_LAST ")"
                        " ORDER BY j.finished_at LIMIT $2)",
                        VALUES(value_integer(self->before_s), value_integer((int64_t)self->limit),
                               value_integer(transaction_now_s(tx))),
                        err);
    return self->count;
}

int job_forget(struct database *database, int64_t before_s, size_t limit, size_t *out_count,
               struct error *err)
{
    struct forgetting self = { .before_s = before_s, .limit = limit };
    int r = transaction_write(database, forget, &self, err);

    if (r < 0)
        return r;
    *out_count = (size_t)self.count;
    return 0;
}

static int last_end_read(struct rows *rows, void *out_item, struct error *err)
{
    struct job_last_end *out = out_item;

    out->finished_at_s = rows_integer(rows, 1);
    return rows_text(rows, 0, out->kind, sizeof(out->kind), err);
}

int job_last_ends(struct database *database, size_t limit, struct job_last_end **out_items,
                  size_t *out_count, struct error *err)
{
    static const struct row_shape shape = { .size = sizeof(struct job_last_end),
                                            .read = last_end_read };
    void *items;
    int r = transaction_list(database,
                             "SELECT kind, max(finished_at) FROM jobs WHERE state = 'done'"
                             " AND project IS NULL GROUP BY kind ORDER BY kind LIMIT $1",
                             VALUES(value_integer((int64_t)limit)), &shape, limit, &items,
                             out_count, err);

    if (r == 0)
        *out_items = items;
    return r;
}
