/* SPDX-License-Identifier: MIT */
#include "server/db/events.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/events_outbox.h"
#include "server/db/transaction.h"

int event_add(struct transaction *tx, const struct event_draft *draft, struct error *err)
{
    int r = transaction_run(tx,
                            "INSERT INTO events (type, project, app, version, actor, data, at)"
                            " VALUES ($1, $2, $3, $4, $5, $6, $7)",
                            VALUES(value_text(draft->type), value_text(draft->project),
                                   value_text(draft->app), value_text(draft->version),
                                   value_text(draft->actor), value_text(draft->data),
                                   value_integer(transaction_now_s(tx))),
                            err);

    return r < 0 ? r : 0;
}

struct numbering {
    const char *holder;
    int64_t lease_s;
    size_t limit;
    size_t count;
};

static int lease_take(struct transaction *tx, const struct numbering *numbering, struct error *err)
{
    int64_t now_s = transaction_now_s(tx);
    int r =
        transaction_run(tx,
                        "UPDATE sequencer SET holder = $1, leased_until = $2"
                        " WHERE one = 1 AND (holder IS NULL OR holder = $1 OR leased_until <= $3)",
                        VALUES(value_text(numbering->holder),
                               value_integer(now_s + numbering->lease_s), value_integer(now_s)),
                        err);

    if (r < 0)
        return r;
    return r == 1 ? 0 : error_set(err, -EBUSY, "another server numbers the events");
}

static int number(struct transaction *tx, void *context, struct error *err)
{
    struct numbering *numbering = context;
    int r = lease_take(tx, numbering, err);

    if (r < 0)
        return r;
    r = transaction_run(tx,
                        "UPDATE events SET number = batch.number FROM ("
                        "SELECT id, (SELECT last_number FROM sequencer WHERE one = 1)"
                        " + row_number() OVER (ORDER BY id) AS number"
                        " FROM events WHERE number IS NULL ORDER BY id LIMIT $1) AS batch"
                        " WHERE events.id = batch.id",
                        VALUES(value_integer((int64_t)numbering->limit)), err);
    if (r < 0)
        return r;
    numbering->count = (size_t)r;
    return transaction_run(tx, "UPDATE sequencer SET last_number = last_number + $1 WHERE one = 1",
                           VALUES(value_integer(r)), err);
}

int event_number(struct database *database, const char *holder, int64_t lease_s, size_t limit,
                 size_t *out_count, struct error *err)
{
    struct numbering numbering = { .holder = holder, .lease_s = lease_s, .limit = limit };
    int r = transaction_write(database, number, &numbering, err);

    if (r < 0)
        return r;
    *out_count = numbering.count;
    return 0;
}

static int bounds(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct event_bounds *out = context;
    int r = transaction_query(tx,
                              "SELECT last_number,"
                              " (SELECT min(number) FROM events WHERE number IS NOT NULL),"
                              " EXISTS (SELECT 1 FROM events WHERE number IS NULL)"
                              " FROM sequencer WHERE one = 1",
                              NO_VALUES, &rows, err);

    if (r >= 0)
        r = rows_next(&rows, err);
    if (r <= 0)
        return r;
    out->last = rows_integer(&rows, 0);
    out->oldest = rows_is_null(&rows, 1) ? out->last + 1 : rows_integer(&rows, 1);
    out->waiting = rows_integer(&rows, 2) != 0;
    return 0;
}

int event_bounds(struct database *database, struct event_bounds *out, struct error *err)
{
    struct event_bounds found = { .oldest = 1 };
    int r = transaction_read(database, bounds, &found, err);

    if (r < 0)
        return r;
    *out = found;
    return 0;
}

static int event_read(struct rows *rows, void *out_item, struct error *err)
{
    struct event *event = out_item;
    int r;

    event->number = rows_integer(rows, 0);
    event->at_s = rows_integer(rows, 1);
    r = rows_text(rows, 2, event->type, sizeof(event->type), err);
    if (r >= 0)
        r = rows_text(rows, 3, event->project, sizeof(event->project), err);
    if (r >= 0)
        r = rows_text(rows, 4, event->app, sizeof(event->app), err);
    if (r >= 0)
        r = rows_text(rows, 5, event->version, sizeof(event->version), err);
    if (r >= 0)
        r = rows_text_copy(rows, 6, &event->actor, err);
    if (r >= 0)
        r = rows_text_copy(rows, 7, &event->data, err);
    return r;
}

static void event_release(void *item)
{
    struct event *event = item;

    memory_free(event->actor);
    memory_free(event->data);
}

int event_list(struct database *database, int64_t after, size_t limit, struct event **out_items,
               size_t *out_count, struct error *err)
{
    static const struct row_shape shape = { .size = sizeof(struct event),
                                            .read = event_read,
                                            .release = event_release };
    void *items;
    int r = transaction_list(database,
                             "SELECT number, at, type, project, app, version, actor, data"
                             " FROM events WHERE number > $1 ORDER BY number LIMIT $2",
                             VALUES(value_integer(after), value_integer((int64_t)limit)), &shape,
                             limit, &items, out_count, err);

    if (r == 0)
        *out_items = items;
    return r;
}

struct event *event_list_free(struct event *items, size_t count)
{
    for (size_t i = 0; items != NULL && i < count; i++)
        event_release(&items[i]);
    return memory_free(items);
}

/* A piece of the beginning: numbers have no gaps behind the oldest. */
int event_forget(struct database *database, int64_t before_s, size_t limit, size_t *out_count,
                 struct error *err)
{
    int r = transaction_run_alone(
        database,
        "DELETE FROM events WHERE number <= (SELECT max(f.number) FROM (SELECT number, at"
        " FROM events WHERE number IS NOT NULL ORDER BY number LIMIT $2) f WHERE f.at < $1)",
        VALUES(value_integer(before_s), value_integer((int64_t)limit)), err);

    if (r < 0)
        return r;
    *out_count = (size_t)r;
    return 0;
}
