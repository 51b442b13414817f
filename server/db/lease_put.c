/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "server/db/lease_acts.h"
#include "server/db/transaction.h"

/* Places that one statement names. */
#define CHUNK 16

/* A row that is there. */
struct known {
    int64_t version_id;
    int64_t since_s;
    enum lease_mode mode;
    char state[LEASE_STATE_SIZE];
    bool live;  /* not expired */
    bool named; /* by an item */
};

enum fate { FATE_RENEWED, FATE_CHANGED, FATE_BEGUN };

struct putting {
    const struct lease_put *put;
    struct lease_put_result result;
    int64_t now, expires_at;
    struct map places; /* place -> struct known * */
    enum fate *fates;  /* of each item */
    int64_t *since;    /* of each item */
    size_t begun;      /* items that are new */
    /* of `replace` within a place: what is below it */
    char first[LEASE_PLACE_SIZE + 1], last[LEASE_PLACE_SIZE + 1];
};

static void places_release(struct map *places)
{
    struct span key;
    void *known;
    size_t at = 0;

    while (map_next(places, &at, &key, &known))
        memory_free(known);
    map_release(places);
    *places = map_init();
}

static int known_read(struct rows *rows, struct putting *putting, struct error *err)
{
    struct known *known = memory_new(sizeof(*known));
    char mode[16];
    int r;

    if (known == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    known->version_id = rows_integer(rows, 1);
    known->since_s = rows_integer(rows, 4);
    known->live = rows_integer(rows, 5) > putting->now;
    r = rows_text(rows, 2, mode, sizeof(mode), err);
    if (r >= 0)
        r = rows_text(rows, 3, known->state, sizeof(known->state), err);
    if (r >= 0 && lease_mode_parse(mode, &known->mode) < 0)
        r = error_set(err, -EBADMSG, "the database has a lease of mode \"%s\"", mode);
    if (r >= 0 && map_set(&putting->places, rows_bytes(rows, 0), known, NULL) < 0)
        r = error_set(err, -ENOMEM, "out of memory");
    if (r < 0)
        memory_free(known);
    return r;
}

#define KNOWN_SELECT                                                       \
    "SELECT place, version_id, mode, state, since, expires_at FROM leases" \
    " WHERE token_id = $1 AND host = $2"
#define WITHIN " AND (place = $3 OR (place >= $4 AND place < $5))"
/* The third parameter and those behind it. */
#define PLACES \
    " AND place IN ($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)"

static int known_read_all(struct rows *rows, struct putting *putting, struct error *err)
{
    int r;

    while ((r = rows_next(rows, err)) > 0) {
        r = known_read(rows, putting, err);
        if (r < 0)
            return r;
    }
    return r;
}

/* Those that `replace` speaks of. */
static int load_set(struct transaction *tx, struct putting *putting, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    const struct lease_put *put = putting->put;
    const struct value values[] = { value_text(put->token_id), value_text(put->host),
                                    value_text(put->within), value_text(putting->first),
                                    value_text(putting->last) };
    int r;

    if (put->within == NULL)
        r = transaction_query(tx, KNOWN_SELECT, values, 2, &rows, err);
    else
        r = transaction_query(tx, KNOWN_SELECT WITHIN, values, 5, &rows, err);
    return r < 0 ? r : known_read_all(&rows, putting, err);
}

/* Token, host, and the places of CHUNK items; a chunk that is not full names the last one again. */
static void chunk_values(const struct lease_put *put, size_t first, struct value values[2 + CHUNK])
{
    values[0] = value_text(put->token_id);
    values[1] = value_text(put->host);
    for (size_t i = 0; i < CHUNK; i++) {
        size_t index = first + i < put->count ? first + i : put->count - 1;

        values[2 + i] = value_text(put->items[index].place);
    }
}

/* Those that the items name. */
static int load_named(struct transaction *tx, struct putting *putting, struct error *err)
{
    const struct lease_put *put = putting->put;
    struct value values[2 + CHUNK];
    int r = 0;

    for (size_t first = 0; r >= 0 && first < put->count; first += CHUNK) {
        cleanup(rows_release) struct rows rows = { 0 };

        chunk_values(put, first, values);
        r = transaction_query(tx, KNOWN_SELECT PLACES, values, 2 + CHUNK, &rows, err);
        if (r >= 0)
            r = known_read_all(&rows, putting, err);
    }
    return r;
}

static void judge(struct putting *putting, size_t index)
{
    const struct lease_item *item = &putting->put->items[index];
    struct known *known = map_get(&putting->places, span_text(item->place));
    const bool same = known != NULL && known->live && known->version_id == item->version_id;
    int64_t since = item->since_s;

    if (known != NULL)
        known->named = true;
    if (since <= 0 || since > putting->now)
        since = same ? known->since_s : putting->now;
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
    r = transaction_integer(tx,
                            "SELECT count(*) FROM leases WHERE token_id = $1 AND expires_at > $2",
                            VALUES(value_text(putting->put->token_id), value_integer(putting->now)),
                            &count, err);
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
    putting->result.changes++;
    return lease_take_away(tx, &lease,
                           lease.expires_at_s > putting->now ? LEASE_ENDED : LEASE_EXPIRED,
                           &put->by, err);
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

        if (putting->fates[i] == FATE_BEGUN && map_has(&putting->places, named))
            r = end_one(tx, putting, named, err);
    }
    while (r >= 0 && putting->put->replace && map_next(&putting->places, &at, &place, &value)) {
        const struct known *known = value;

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
               value_integer(putting->now), value_integer(putting->expires_at)),
        err);

    putting->result.changes++;
    return r < 0 ? r : lease_tell(tx, LEASE_BEGAN, &told, &put->by, err);
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

#define RENEW(now, end) \
    "UPDATE leases SET renewed_at = " now ", expires_at = " end " WHERE token_id = $1 AND host = $2"

/* Everything that is still there was named: one statement. */
static int renew_set(struct transaction *tx, struct putting *putting, struct error *err)
{
    const struct lease_put *put = putting->put;
    if (put->within == NULL)
        return transaction_run(tx, RENEW("$3", "$4"),
                               VALUES(value_text(put->token_id), value_text(put->host),
                                      value_integer(putting->now),
                                      value_integer(putting->expires_at)),
                               err);
    return transaction_run(tx, RENEW("$6", "$7") WITHIN,
                           VALUES(value_text(put->token_id), value_text(put->host),
                                  value_text(put->within), value_text(putting->first),
                                  value_text(putting->last), value_integer(putting->now),
                                  value_integer(putting->expires_at)),
                           err);
}

static int renew_named(struct transaction *tx, struct putting *putting, struct error *err)
{
    const struct lease_put *put = putting->put;
    struct value values[2 + CHUNK + 2];
    int r = 0;

    values[2 + CHUNK] = value_integer(putting->now);
    values[3 + CHUNK] = value_integer(putting->expires_at);
    for (size_t first = 0; r >= 0 && first < put->count; first += CHUNK) {
        chunk_values(put, first, values);
        r = transaction_run(tx, RENEW("$19", "$20") PLACES, values, 4 + CHUNK, err);
    }
    return r;
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
    return putting->put->replace ? renew_set(tx, putting, err) : renew_named(tx, putting, err);
}

static int put_in(struct transaction *tx, void *context, struct error *err)
{
    struct putting *putting = context;
    const struct lease_put *put = putting->put;
    int r;

    places_release(&putting->places);
    putting->now = transaction_now_s(tx);
    putting->expires_at = putting->now + (int64_t)put->life_s;
    putting->result = (struct lease_put_result){ .expires_at_s = putting->expires_at };
    putting->begun = 0;
    r = put->replace ? load_set(tx, putting, err) : load_named(tx, putting, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < put->count; i++)
        judge(putting, i);
    for (size_t i = 0; r >= 0 && i < put->count; i++) {
        if (putting->fates[i] == FATE_BEGUN)
            r = check_version(tx, putting, i, err);
    }
    if (r >= 0)
        r = end_others(tx, putting, err);
    if (r >= 0)
        r = check_room(tx, putting, err);
    return r < 0 ? r : write_items(tx, putting, err);
}

/* What begins with "WITHIN/" is below it: '0' is the byte behind '/'. */
static void range_of(struct putting *putting)
{
    size_t size = strlen(putting->put->within);

    memcpy(putting->first, putting->put->within, size);
    memcpy(putting->first + size, "/", 2);
    memcpy(putting->last, putting->put->within, size);
    memcpy(putting->last + size, "0", 2);
}

int lease_put(struct database *database, const struct lease_put *put, struct lease_put_result *out,
              struct error *err)
{
    struct putting putting = { .put = put, .places = map_init() };
    int r = 0;

    if (put->within != NULL)
        range_of(&putting);
    putting.fates = memory_array(put->count, sizeof(*putting.fates));
    putting.since = memory_array(put->count, sizeof(*putting.since));
    if (putting.fates == NULL || putting.since == NULL)
        r = error_set(err, -ENOMEM, "out of memory");
    if (r >= 0)
        r = transaction_write(database, put_in, &putting, err);
    places_release(&putting.places);
    memory_free(putting.fates);
    memory_free(putting.since);
    if (r >= 0 || r == -ESTALE)
        *out = putting.result;
    return r;
}
