/* SPDX-License-Identifier: MIT */
#include "server/db/lease_rows.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/lease_acts.h"
#include "server/db/transaction.h"

/* Places that one statement names. */
#define CHUNK 16

/* What begins with "WITHIN/" is below it: '0' is the byte behind '/'. */
static void range_of(struct lease_rows *self)
{
    size_t size = strlen(self->put->within);

    memcpy(self->first, self->put->within, size);
    memcpy(self->first + size, "/", 2);
    memcpy(self->last, self->put->within, size);
    memcpy(self->last + size, "0", 2);
}

void lease_rows_init(struct lease_rows *self, const struct lease_put *put)
{
    *self = (struct lease_rows){ .put = put, .by_place = map_init() };
    if (put->within != NULL)
        range_of(self);
}

void lease_rows_release(struct lease_rows *self)
{
    struct span key;
    void *row;
    size_t at = 0;

    while (map_next(&self->by_place, &at, &key, &row))
        memory_free(row);
    map_release(&self->by_place);
    self->by_place = map_init();
}

static int known_read(struct rows *rows, struct lease_rows *self, struct error *err)
{
    struct lease_row *known = memory_new(sizeof(*known));
    char mode[16];
    int r;

    if (known == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    known->version_id = rows_integer(rows, 1);
    known->since_s = rows_integer(rows, 4);
    known->live = rows_integer(rows, 5) > self->now;
    r = rows_text(rows, 2, mode, sizeof(mode), err);
    if (r >= 0)
        r = rows_text(rows, 3, known->state, sizeof(known->state), err);
    if (r >= 0 && lease_mode_parse(mode, &known->mode) < 0)
        r = error_set(err, -EBADMSG, "the database has a lease of mode \"%s\"", mode);
    if (r >= 0 && map_set(&self->by_place, rows_bytes(rows, 0), known, NULL) < 0)
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

static int known_read_all(struct rows *rows, struct lease_rows *self, struct error *err)
{
    int r;

    while ((r = rows_next(rows, err)) > 0) {
        r = known_read(rows, self, err);
        if (r < 0)
            return r;
    }
    return r;
}

/* Those that `replace` speaks of. */
static int load_set(struct transaction *tx, struct lease_rows *self, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    const struct lease_put *put = self->put;
    const struct value values[] = { value_text(put->token_id), value_text(put->host),
                                    value_text(put->within), value_text(self->first),
                                    value_text(self->last) };
    int r;

    if (put->within == NULL)
        r = transaction_query(tx, KNOWN_SELECT, values, 2, &rows, err);
    else
        r = transaction_query(tx, KNOWN_SELECT WITHIN, values, 5, &rows, err);
    return r < 0 ? r : known_read_all(&rows, self, err);
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
static int load_named(struct transaction *tx, struct lease_rows *self, struct error *err)
{
    const struct lease_put *put = self->put;
    struct value values[2 + CHUNK];
    int r = 0;

    for (size_t first = 0; r >= 0 && first < put->count; first += CHUNK) {
        cleanup(rows_release) struct rows rows = { 0 };

        chunk_values(put, first, values);
        r = transaction_query(tx, KNOWN_SELECT PLACES, values, 2 + CHUNK, &rows, err);
        if (r >= 0)
            r = known_read_all(&rows, self, err);
    }
    return r;
}

int lease_rows_load(struct lease_rows *self, struct transaction *tx, struct error *err)
{
    lease_rows_release(self);
    self->now = transaction_now_s(tx);
    self->expires_at = self->now + (int64_t)self->put->life_s;
    return self->put->replace ? load_set(tx, self, err) : load_named(tx, self, err);
}

#define RENEW(now, end) \
    "UPDATE leases SET renewed_at = " now ", expires_at = " end " WHERE token_id = $1 AND host = $2"

/* Everything that is still there was named: one statement. */
static int renew_set(struct transaction *tx, struct lease_rows *self, struct error *err)
{
    const struct lease_put *put = self->put;

    if (put->within == NULL)
        return transaction_run(tx, RENEW("$3", "$4"),
                               VALUES(value_text(put->token_id), value_text(put->host),
                                      value_integer(self->now), value_integer(self->expires_at)),
                               err);
    return transaction_run(tx, RENEW("$6", "$7") WITHIN,
                           VALUES(value_text(put->token_id), value_text(put->host),
                                  value_text(put->within), value_text(self->first),
                                  value_text(self->last), value_integer(self->now),
                                  value_integer(self->expires_at)),
                           err);
}

static int renew_named(struct transaction *tx, struct lease_rows *self, struct error *err)
{
    const struct lease_put *put = self->put;
    struct value values[2 + CHUNK + 2];
    int r = 0;

    values[2 + CHUNK] = value_integer(self->now);
    values[3 + CHUNK] = value_integer(self->expires_at);
    for (size_t first = 0; r >= 0 && first < put->count; first += CHUNK) {
        chunk_values(put, first, values);
        r = transaction_run(tx, RENEW("$19", "$20") PLACES, values, 4 + CHUNK, err);
    }
    return r;
}

int lease_rows_renew(struct lease_rows *self, struct transaction *tx, struct error *err)
{
    return self->put->replace ? renew_set(tx, self, err) : renew_named(tx, self, err);
}
