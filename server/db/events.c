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
                        " WHERE one = 1 AND (holder IS NULL OR holder = $1 OR leased_until <= $3"
                        " OR leased_until > $4)",
                        VALUES(value_text(numbering->holder),
                               value_integer(now_s + numbering->lease_s), value_integer(now_s),
                               value_integer(now_s + 2 * numbering->lease_s)),
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

/* ------------------------------------------------------------ of a place */

#define COLUMNS "SELECT number, at, type, project, app, version, actor, data FROM events"
#define BEHIND " WHERE number > $1"
#define UPWARDS " ORDER BY number LIMIT $2"
#define NUMBERED "SELECT number, type, project, app FROM events WHERE number IS NOT NULL"
#define DOWNWARDS " ORDER BY number DESC"

#define FORGOTTEN "SELECT number, type, project, app FROM events_forgotten"

/* Everything, a project, an app: each with a way of its own through the tables. */
static const struct {
    const char *list;      /* after, limit, project, app */
    const char *last;      /* project, app */
    const char *forgotten; /* project, app */
} texts[] = {
    { COLUMNS BEHIND UPWARDS, NUMBERED DOWNWARDS, FORGOTTEN DOWNWARDS },
    { COLUMNS BEHIND " AND project = $3" UPWARDS, NUMBERED " AND project = $1" DOWNWARDS,
      FORGOTTEN " WHERE project = $1" DOWNWARDS },
    { COLUMNS BEHIND " AND project = $3 AND app = $4" UPWARDS,
      NUMBERED " AND project = $1 AND app = $2" DOWNWARDS,
      FORGOTTEN " WHERE project = $1 AND app = $2" DOWNWARDS },
};

static size_t depth_of(const struct event_part *part)
{
    return (part->project[0] != '\0') + (part->app[0] != '\0');
}

static int is_in(struct rows *rows, const struct event_part *part, bool *out, struct error *err)
{
    struct event event;
    int r = rows_text(rows, 1, event.type, sizeof(event.type), err);

    if (r >= 0)
        r = rows_text(rows, 2, event.project, sizeof(event.project), err);
    if (r >= 0)
        r = rows_text(rows, 3, event.app, sizeof(event.app), err);
    if (r >= 0)
        *out = part->has == NULL || event.type[0] == '\0' ||
               part->has(part->context, event.type, event.project, event.app);
    return r;
}

/* The first number of the part among these; 0: none. From the newest on that is as a rule near. */
static int find_first(struct transaction *tx, const char *sql, const struct event_part *part,
                      int64_t *out, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    const struct value values[] = { value_text(part->project), value_text(part->app) };
    bool found = false;
    int r = transaction_query(tx, sql, values, depth_of(part), &rows, err);

    while (r >= 0 && !found && (r = rows_next(&rows, err)) > 0)
        r = is_in(&rows, part, &found, err);
    if (r >= 0)
        *out = found ? rows_integer(&rows, 0) : 0;
    return r < 0 ? r : 0;
}

struct listing {
    const struct event_part *part;
    int64_t after;
    size_t limit;
    struct event *items;
    size_t count;
    int64_t forgotten;
};

static int event_read(struct rows *rows, struct event *event, struct error *err)
{
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

static int list(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct listing *listing = context;
    const struct event_part *part = listing->part;
    const size_t depth = depth_of(part);
    const struct value values[] = { value_integer(listing->after),
                                    value_integer((int64_t)listing->limit),
                                    value_text(part->project), value_text(part->app) };
    int r = find_first(tx, texts[depth].forgotten, part, &listing->forgotten, err);

    if (r >= 0)
        r = transaction_query(tx, texts[depth].list, values, 2 + depth, &rows, err);
    while (r >= 0 && (r = rows_next(&rows, err)) > 0)
        r = event_read(&rows, &listing->items[listing->count++], err);
    return r;
}

int event_list_of(struct database *database, const struct event_part *part, int64_t after,
                  size_t limit, struct event **out_items, size_t *out_count, int64_t *out_forgotten,
                  struct error *err)
{
    struct listing listing = { .part = part, .after = after, .limit = limit };
    int r;

    listing.items = memory_array(limit, sizeof(*listing.items));
    if (listing.items == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = transaction_read(database, list, &listing, err);
    if (r < 0) {
        event_list_free(listing.items, listing.count);
        return r;
    }
    *out_items = listing.items;
    *out_count = listing.count;
    *out_forgotten = listing.forgotten;
    return 0;
}

int event_list(struct database *database, int64_t after, size_t limit, struct event **out_items,
               size_t *out_count, struct error *err)
{
    static const struct event_part everything = { .project = "", .app = "" };
    int64_t ignored;

    return event_list_of(database, &everything, after, limit, out_items, out_count, &ignored, err);
}

struct event *event_list_free(struct event *items, size_t count)
{
    for (size_t i = 0; items != NULL && i < count; i++) {
        memory_free(items[i].actor);
        memory_free(items[i].data);
    }
    return memory_free(items);
}

struct viewing {
    const struct event_part *seen, *wanted;
    struct event_view view;
};

static int view(struct transaction *tx, void *context, struct error *err)
{
    struct viewing *self = context;
    const size_t depth = depth_of(self->seen);
    int r = transaction_integer(tx, "SELECT last_number FROM sequencer WHERE one = 1", NO_VALUES,
                                &self->view.last, err);

    if (r >= 0)
        r = find_first(tx, texts[depth].last, self->seen, &self->view.seen_last, err);
    if (r >= 0 && self->view.seen_last == 0)
        r = find_first(tx, texts[depth].forgotten, self->seen, &self->view.seen_last, err);
    if (r >= 0)
        r = find_first(tx, texts[depth_of(self->wanted)].forgotten, self->wanted,
                       &self->view.forgotten, err);
    return r;
}

int event_view(struct database *database, const struct event_part *seen,
               const struct event_part *wanted, struct event_view *out, struct error *err)
{
    struct viewing self = { .seen = seen, .wanted = wanted };
    int r = transaction_read(database, view, &self, err);

    if (r < 0)
        return r;
    *out = self.view;
    return 0;
}

/* ------------------------------------------------------------ age */

struct forgetting {
    int64_t before_s;
    size_t limit;
    int count;
};

/* A piece of the beginning: numbers have no gaps behind the oldest. */
static int forget(struct transaction *tx, void *context, struct error *err)
{
    struct forgetting *self = context;
    int64_t last = 0;
    int r =
        transaction_integer(tx,
                            "SELECT coalesce(max(f.number), 0) FROM (SELECT number, at FROM events"
                            " WHERE number IS NOT NULL ORDER BY number LIMIT $2) f WHERE f.at < $1",
                            VALUES(value_integer(self->before_s),
                                   value_integer((int64_t)self->limit)),
                            &last, err);

    if (r >= 0)
        r = transaction_run(tx,
                            "INSERT INTO events_forgotten (project, app, type, number)"
                            " SELECT coalesce(project, ''), coalesce(app, ''), type, max(number)"
                            " FROM events WHERE number <= $1 GROUP BY 1, 2, 3"
                            " ON CONFLICT (project, app, type)"
                            " DO UPDATE SET number = excluded.number",
                            VALUES(value_integer(last)), err);
    if (r >= 0)
        r = transaction_run(tx, "DELETE FROM events WHERE number <= $1",
                            VALUES(value_integer(last)), err);
    self->count = r;
    return r;
}

int event_forget(struct database *database, int64_t before_s, size_t limit, size_t *out_count,
                 struct error *err)
{
    struct forgetting self = { .before_s = before_s, .limit = limit };
    int r = transaction_write(database, forget, &self, err);

    if (r == 0)
        *out_count = (size_t)self.count;
    return r;
}
