/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "server/db/lease_acts.h"
#include "server/db/lease_rows.h"
#include "server/db/lease_telling.h"
#include "server/db/transaction.h"

enum fate { FATE_RENEWED, FATE_CHANGED, FATE_BEGUN };

struct putting {
    const struct lease_put *put;
    struct lease_put_result result;
    struct lease_rows rows;
    enum fate *fates; /* of each item */
    int64_t *since;   /* of each item */
    size_t begun;     /* items that are new */
    struct lease_telling telling;
};

static void judge(struct putting *putting, size_t index)
{
    const struct lease_item *item = &putting->put->items[index];
    struct lease_row *known = map_get(&putting->rows.by_place, span_text(item->place));
    const bool same = known != NULL && known->live && known->version_id == item->version_id;
    int64_t since = item->since_s;

    if (known != NULL)
        known->named = true;
    if (since <= 0 || since > putting->rows.now)
        since = same ? known->since_s : putting->rows.now;
    putting->since[index] = since;
    if (!same) {
        putting->fates[index] = FATE_BEGUN;
        putting->begun++;
    } else if (known->mode != item->mode || known->since_s != since ||
               strcmp(known->state, item->state) != 0) {
        putting->fates[index] = FATE_CHANGED;
    } else {
        putting->fates[index] = FATE_RENEWED;
    }
}

/* A lease that begins in the place of another is two changes. */
static size_t count_changes(const struct putting *putting)
{
    const struct lease_put *put = putting->put;
    size_t count = putting->begun;
    struct span place;
    void *value;
    size_t at = 0;

    for (size_t i = 0; i < put->count; i++)
        count += putting->fates[i] == FATE_BEGUN &&
                 map_has(&putting->rows.by_place, span_text(put->items[i].place));
    while (put->replace && map_next(&putting->rows.by_place, &at, &place, &value))
        count += !((const struct lease_row *)value)->named;
    return count;
}

static int check_changes(struct putting *putting, struct error *err)
{
    putting->result.changes = count_changes(putting);
    putting->result.is_too_much = putting->result.changes > putting->put->changes_max;
    if (!putting->result.is_too_much)
        return 0;
    return error_set(err, -EAGAIN,
                     "this would begin or end %zu leases, and for now the token may %zu",
                     putting->result.changes, putting->put->changes_max);
}

static int check_version(struct transaction *tx, struct putting *putting, size_t index,
                         struct error *err)
{
    const struct lease_item *item = &putting->put->items[index];
    int64_t count = 0;
    int r =
        transaction_integer(tx,
                            "SELECT count(*) FROM versions WHERE id = $1 AND state <> 'purging'",
                            VALUES(value_integer(item->version_id)), &count, err);

    if (r < 0 || count > 0)
        return r;
    putting->result.failed = index;
    return error_set(err, -ESTALE, "version %s/%s/%s was removed for ever", item->project,
                     item->app, item->version);
}

/* When what ends has ended. */
static int check_room(struct transaction *tx, struct putting *putting, struct error *err)
{
    int64_t count = 0;
    int r;

    if (putting->begun == 0)
        return 0;
    r = transaction_integer(
        tx, "SELECT count(*) FROM leases WHERE token_id = $1 AND expires_at > $2",
        VALUES(value_text(putting->put->token_id), value_integer(putting->rows.now)), &count, err);
    if (r < 0 || (uint64_t)count + putting->begun <= putting->put->token_max)
        return r;
    return error_set(err, -EBUSY,
                     "a token has at most %llu leases: it has %lld, and %zu would come",
                     (unsigned long long)putting->put->token_max, (long long)count, putting->begun);
}

/* The row as it is now goes from its place, with its act. */
static int end_one(struct transaction *tx, struct putting *putting, struct span place,
                   struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    const struct lease_put *put = putting->put;
    struct lease lease;
    int r = transaction_query(
        tx, LEASE_SELECT "WHERE l.token_id = $1 AND l.host = $2 AND l.place = $3",
        VALUES(value_text(put->token_id), value_text(put->host),
               (struct value){ .kind = VALUE_TEXT, .bytes = place.bytes, .size = place.size }),
        &rows, err);

    if (r >= 0)
        r = rows_next(&rows, err);
    if (r <= 0)
        return r;
    r = lease_read(&rows, &lease, err);
    if (r < 0)
        return r;
    rows_release(&rows);
    return lease_take_away(tx, &lease,
                           lease.expires_at_s > putting->rows.now ? LEASE_ENDED : LEASE_EXPIRED,
                           &putting->telling, err);
}

/* What was there of another version, or is over, or is not named any more. */
static int end_others(struct transaction *tx, struct putting *putting, struct error *err)
{
    struct span place;
    void *value;
    size_t at = 0;
    int r = 0;

    for (size_t i = 0; r >= 0 && i < putting->put->count; i++) {
        const struct span named = span_text(putting->put->items[i].place);

        if (putting->fates[i] == FATE_BEGUN && map_has(&putting->rows.by_place, named))
            r = end_one(tx, putting, named, err);
    }
    while (r >= 0 && putting->put->replace &&
           map_next(&putting->rows.by_place, &at, &place, &value)) {
        const struct lease_row *known = value;

        if (!known->named)
            r = end_one(tx, putting, place, err);
    }
    return r;
}

static int begin_one(struct transaction *tx, struct putting *putting, size_t index,
                     struct error *err)
{
    const struct lease_put *put = putting->put;
    const struct lease_item *item = &put->items[index];
    const struct lease_told told = { .project = item->project,
                                     .app = item->app,
                                     .version = item->version,
                                     .token_id = put->token_id,
                                     .host = put->host,
                                     .place = item->place,
                                     .mode = item->mode };
    int r = transaction_run(
        tx,
        "INSERT INTO leases (token_id, host, place, version_id, mode, state, since, renewed_at,"
        " expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        VALUES(value_text(put->token_id), value_text(put->host), value_text(item->place),
               value_integer(item->version_id), value_text(lease_mode_name(item->mode)),
               value_text(item->state), value_integer(putting->since[index]),
               value_integer(putting->rows.now), value_integer(putting->rows.expires_at)),
        err);

    return r < 0 ? r : lease_telling_add(&putting->telling, LEASE_BEGAN, &told, err);
}

static int change_one(struct transaction *tx, struct putting *putting, size_t index,
                      struct error *err)
{
    const struct lease_put *put = putting->put;
    const struct lease_item *item = &put->items[index];

    return transaction_run(tx,
                           "UPDATE leases SET mode = $4, state = $5, since = $6"
                           " WHERE token_id = $1 AND host = $2 AND place = $3",
                           VALUES(value_text(put->token_id), value_text(put->host),
                                  value_text(item->place), value_text(lease_mode_name(item->mode)),
                                  value_text(item->state), value_integer(putting->since[index])),
                           err);
}

static int write_items(struct transaction *tx, struct putting *putting, struct error *err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < putting->put->count; i++) {
        if (putting->fates[i] == FATE_BEGUN)
            r = begin_one(tx, putting, i, err);
        else if (putting->fates[i] == FATE_CHANGED)
            r = change_one(tx, putting, i, err);
    }
    if (r < 0 || putting->begun == putting->put->count)
        return r;
    return lease_rows_renew(&putting->rows, tx, err);
}

static int put_in(struct transaction *tx, void *context, struct error *err)
{
    struct putting *putting = context;
    const struct lease_put *put = putting->put;
    int r;

    lease_telling_release(&putting->telling);
    putting->begun = 0;
    r = lease_rows_load(&putting->rows, tx, err);
    putting->result = (struct lease_put_result){ .expires_at_s = putting->rows.expires_at };
    if (r < 0)
        return r;
    for (size_t i = 0; i < put->count; i++)
        judge(putting, i);
    r = check_changes(putting, err);
    for (size_t i = 0; r >= 0 && i < put->count; i++) {
        if (putting->fates[i] == FATE_BEGUN)
            r = check_version(tx, putting, i, err);
    }
    if (r >= 0)
        r = end_others(tx, putting, err);
    if (r >= 0)
        r = check_room(tx, putting, err);
    if (r >= 0)
        r = write_items(tx, putting, err);
    return r < 0 ? r : lease_telling_write(&putting->telling, tx, &put->by, err);
}

int lease_put(struct database *database, const struct lease_put *put, struct lease_put_result *out,
              struct error *err)
{
    struct putting putting = { .put = put };
    int r = 0;

    lease_telling_init(&putting.telling);
    lease_rows_init(&putting.rows, put);
    putting.fates = memory_array(put->count, sizeof(*putting.fates));
    putting.since = memory_array(put->count, sizeof(*putting.since));
    if (putting.fates == NULL || putting.since == NULL)
        r = error_set(err, -ENOMEM, "out of memory");
    if (r >= 0)
        r = transaction_write(database, put_in, &putting, err);
    lease_rows_release(&putting.rows);
    lease_telling_release(&putting.telling);
    memory_free(putting.fates);
    memory_free(putting.since);
    if (r >= 0 || r == -ESTALE || putting.result.is_too_much)
        *out = putting.result;
    return r;
}
