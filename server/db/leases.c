/* SPDX-License-Identifier: MIT */
#include "server/db/leases.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/lease_acts.h"
#include "server/db/lease_telling.h"
#include "server/db/transaction.h"

/* Rows that are taken away together are read first, so many at a time. */
#define TAKE_MAX 100

/* Reads the rest of the rows, `limit` at most. */
static int read_all(struct rows *rows, struct lease *items, size_t limit, size_t *out_count,
                    struct error *err)
{
    size_t count = 0;
    int r = 0;

    while (count < limit && (r = rows_next(rows, err)) > 0) {
        r = lease_read(rows, &items[count], err);
        if (r < 0)
            return r;
        count++;
    }
    *out_count = count;
    return r < 0 ? r : 0;
}

struct listing {
    const struct lease_filter *filter;
    const struct lease_position *after;
    size_t limit;
    struct lease *items;
    size_t count;
};

/* The sign keeps the planner from walking by time: a page goes by place. */
#define PAGE                                                                   \
    " AND +l.expires_at > $1 AND (l.host, l.place, l.token_id) > ($2, $3, $4)" \
    " AND (CAST($5 AS TEXT) IS NULL OR l.state = $5)"                          \
    " ORDER BY l.host, l.place, l.token_id LIMIT $6"

/* By the narrowest name that is given, each of which has its index: an empty page of a version is
 * no walk through all leases. */
static int list_query(struct transaction *tx, const struct listing *listing, struct rows *rows,
                      struct error *err)
{
    const struct lease_filter *filter = listing->filter;
    const struct value values[] = {
        value_integer(transaction_now_s(tx)),
        value_text(listing->after->host),
        value_text(listing->after->place),
        value_text(listing->after->token_id),
        value_text(filter->state),
        value_integer((int64_t)listing->limit),
        value_text(filter->project),
        value_text(filter->app),
        value_text(filter->version),
    };

    if (filter->project != NULL && filter->app != NULL && filter->version != NULL)
        return transaction_query(tx,
                                 LEASE_SELECT "WHERE p.name = $7 AND a.name = $8"
                                              " AND v.name = $9" PAGE,
                                 values, 9, rows, err);
    if (filter->project != NULL && filter->app != NULL)
        return transaction_query(tx, LEASE_SELECT "WHERE p.name = $7 AND a.name = $8" PAGE, values,
                                 8, rows, err);
    return transaction_query(tx,
                             LEASE_SELECT "WHERE (CAST($7 AS TEXT) IS NULL OR p.name = $7)"
                                          " AND (CAST($8 AS TEXT) IS NULL OR a.name = $8)"
                                          " AND (CAST($9 AS TEXT) IS NULL OR v.name = $9)" PAGE,
                             values, 9, rows, err);
}

static int list(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct listing *listing = context;
    int r = list_query(tx, listing, &rows, err);

    return r < 0 ? r : read_all(&rows, listing->items, listing->limit, &listing->count, err);
}

int lease_list(struct database *database, const struct lease_filter *filter,
               const struct lease_position *after, size_t limit, struct lease **out_items,
               size_t *out_count, struct error *err)
{
    static const struct lease_position start = { .host = "" };
    struct listing listing = { .filter = filter,
                               .after = after == NULL ? &start : after,
                               .limit = limit };
    cleanup_memory struct lease *items = memory_array(limit, sizeof(*items));
    int r;

    if (items == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    listing.items = items;
    r = transaction_read(database, list, &listing, err);
    if (r < 0)
        return r;
    *out_items = take_pointer(&items);
    *out_count = listing.count;
    return 0;
}

/* What is to be taken away: by place, by time, or by version. */
struct taking {
    const char *host, *place;
    int64_t version_id; /* 0: of any */
    size_t limit;
    enum lease_change change;
    const struct actor *by;
    struct lease_telling telling;
    struct lease *items; /* TAKE_MAX */
    size_t count;
};

static int taking_query(struct transaction *tx, const struct taking *taking, struct rows *rows,
                        struct error *err)
{
    if (taking->change == LEASE_REMOVED)
        return transaction_query(tx,
                                 LEASE_SELECT "WHERE l.host = $1 AND l.place = $2"
                                              " AND l.expires_at > $3 LIMIT $4",
                                 VALUES(value_text(taking->host), value_text(taking->place),
                                        value_integer(transaction_now_s(tx)),
                                        value_integer((int64_t)taking->limit)),
                                 rows, err);
    if (taking->version_id != 0)
        return transaction_query(tx, LEASE_SELECT "WHERE l.version_id = $1 LIMIT $2",
                                 VALUES(value_integer(taking->version_id),
                                        value_integer((int64_t)taking->limit)),
                                 rows, err);
    return transaction_query(tx,
                             LEASE_SELECT "WHERE l.expires_at <= $1 ORDER BY l.expires_at LIMIT $2",
                             VALUES(value_integer(transaction_now_s(tx)),
                                    value_integer((int64_t)taking->limit)),
                             rows, err);
}

/* One round: they are read, then deleted. */
static int take_some(struct transaction *tx, struct taking *taking, size_t *out_count,
                     struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    int r = taking_query(tx, taking, &rows, err);

    if (r >= 0)
        r = read_all(&rows, taking->items, taking->limit, out_count, err);
    rows_release(&rows);
    for (size_t i = 0; r >= 0 && i < *out_count; i++)
        r = lease_take_away(tx, &taking->items[i], taking->change, &taking->telling, err);
    return r < 0 ? r : 0;
}

static int take_batch(struct transaction *tx, void *context, struct error *err)
{
    struct taking *taking = context;
    int r;

    lease_telling_release(&taking->telling);
    r = take_some(tx, taking, &taking->count, err);
    return r < 0 ? r : lease_telling_write(&taking->telling, tx, taking->by, err);
}

static int take_all(struct transaction *tx, void *context, struct error *err)
{
    struct taking *taking = context;
    size_t count = 0;
    int r;

    taking->count = 0;
    lease_telling_release(&taking->telling);
    do {
        r = take_some(tx, taking, &count, err);
        taking->count += count;
    } while (r == 0 && count == taking->limit);
    return r < 0 ? r : lease_telling_write(&taking->telling, tx, taking->by, err);
}

static void taking_release(struct taking *taking)
{
    lease_telling_release(&taking->telling);
    memory_free(taking->items);
}

static int taking_room(struct taking *taking, struct error *err)
{
    lease_telling_init(&taking->telling);
    if (taking->limit == 0 || taking->limit > TAKE_MAX)
        taking->limit = TAKE_MAX;
    taking->items = memory_array(taking->limit, sizeof(*taking->items));
    return taking->items == NULL ? error_set(err, -ENOMEM, "out of memory") : 0;
}

int lease_remove(struct database *database, const char *host, const char *place,
                 const struct actor *by, size_t *out_count, struct error *err)
{
    struct taking taking = { .host = host, .place = place, .change = LEASE_REMOVED, .by = by };
    int r = taking_room(&taking, err);

    if (r >= 0)
        r = transaction_write(database, take_all, &taking, err);
    taking_release(&taking);
    if (r >= 0)
        *out_count = taking.count;
    return r;
}

int lease_expire(struct database *database, size_t limit, size_t *out_count, struct error *err)
{
    struct taking taking = { .limit = limit, .change = LEASE_EXPIRED, .by = &actor_host };
    int r = taking_room(&taking, err);

    if (r >= 0)
        r = transaction_write(database, take_batch, &taking, err);
    taking_release(&taking);
    if (r >= 0)
        *out_count = taking.count;
    return r;
}

int lease_drop_version(struct transaction *tx, int64_t version_id, const struct actor *by,
                       struct error *err)
{
    struct taking taking = { .version_id = version_id, .change = LEASE_EXPIRED, .by = by };
    int r = taking_room(&taking, err);

    if (r >= 0)
        r = take_all(tx, &taking, err);
    taking_release(&taking);
    return r;
}

struct counting {
    uint64_t stale_s;
    struct lease_counts counts;
};

static int count(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct counting *counting = context;
    const int64_t now = transaction_now_s(tx);
    int r = transaction_query(tx,
                              "SELECT count(*), count(CASE WHEN renewed_at < $2 THEN 1 END),"
                              " count(DISTINCT host) FROM leases WHERE +expires_at > $1",
                              VALUES(value_integer(now),
                                     value_integer(now - (int64_t)counting->stale_s)),
                              &rows, err);

    if (r >= 0)
        r = rows_next(&rows, err);
    if (r <= 0)
        return r;
    counting->counts = (struct lease_counts){ .leases = (uint64_t)rows_integer(&rows, 0),
                                              .stale = (uint64_t)rows_integer(&rows, 1),
                                              .hosts = (uint64_t)rows_integer(&rows, 2) };
    return 0;
}

int lease_count(struct database *database, uint64_t stale_s, struct lease_counts *out,
                struct error *err)
{
    struct counting counting = { .stale_s = stale_s };
    int r = transaction_read(database, count, &counting, err);

    if (r >= 0)
        *out = counting.counts;
    return r;
}

int lease_hosts(struct transaction *tx, int64_t version_id, size_t limit,
                char (*out)[LEASE_HOST_SIZE], size_t *out_count, uint64_t *out_total,
                struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    const struct value now = value_integer(transaction_now_s(tx));
    int64_t total = 0;
    size_t hosts = 0;
    int r = transaction_integer(tx,
                                "SELECT count(DISTINCT host) FROM leases"
                                " WHERE version_id = $1 AND expires_at > $2",
                                VALUES(value_integer(version_id), now), &total, err);

    if (r >= 0)
        r = transaction_query(tx,
                              "SELECT DISTINCT host FROM leases"
                              " WHERE version_id = $1 AND expires_at > $2 ORDER BY host LIMIT $3",
                              VALUES(value_integer(version_id), now, value_integer((int64_t)limit)),
                              &rows, err);
    while (r >= 0 && hosts < limit && (r = rows_next(&rows, err)) > 0)
        r = rows_text(&rows, 0, out[hosts++], LEASE_HOST_SIZE, err);
    if (r < 0)
        return r;
    *out_count = hosts;
    *out_total = (uint64_t)total;
    return 0;
}
