/* SPDX-License-Identifier: MIT */
#include "server/db/schedules.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/number.h"
#include "server/db/jobs.h"
#include "server/db/transaction.h"

#define KEY_SIZE 64
#define VALUE_SIZE 512

struct advancing {
    const struct schedule *schedule;
    int64_t next_s;
    const struct actor *by;
    const struct job_draft *draft;
    bool asked;
    int64_t found_s;
};

static void key_of(const char *name, char out[KEY_SIZE])
{
    snprintf(out, KEY_SIZE, "%s.next", name);
}

/* "SECONDS PLAN". What has another form counts as none. */
static int64_t parse(const char *value, const char *plan)
{
    const char *space = strchr(value, ' ');
    uint64_t seconds;

    if (space == NULL || strcmp(space + 1, plan) != 0 ||
        number_parse(span_of(value, (size_t)(space - value)), INT64_MAX, &seconds, NULL) < 0)
        return 0;
    return (int64_t)seconds;
}

static int find(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct advancing *self = context;
    char key[KEY_SIZE], value[VALUE_SIZE];
    int r;

    self->found_s = 0;
    key_of(self->schedule->name, key);
    r = transaction_query(tx, "SELECT value FROM settings WHERE name = $1", VALUES(value_text(key)),
                          &rows, err);
    if (r >= 0)
        r = rows_next(&rows, err);
    if (r <= 0)
        return r;
    r = rows_text(&rows, 0, value, sizeof(value), err);
    if (r >= 0)
        self->found_s = parse(value, self->schedule->plan);
    return r;
}

int schedule_next(struct database *database, const struct schedule *schedule, int64_t *out_next_s,
                  struct error *err)
{
    struct advancing self = { .schedule = schedule };
    int r = transaction_read(database, find, &self, err);

    if (r == 0)
        *out_next_s = self.found_s;
    return r;
}

static int plan(struct transaction *tx, const struct advancing *self, struct error *err)
{
    char key[KEY_SIZE], value[VALUE_SIZE];

    key_of(self->schedule->name, key);
    if (snprintf(value, sizeof(value), "%lld %s", (long long)self->next_s, self->schedule->plan) >=
        (int)sizeof(value))
        return error_set(err, -EINVAL, "a plan of so many words");
    return transaction_run(tx,
                           "INSERT INTO settings (name, value, updated_at) VALUES ($1, $2, $3)"
                           " ON CONFLICT (name) DO UPDATE SET value = excluded.value,"
                           " updated_at = excluded.updated_at",
                           VALUES(value_text(key), value_text(value),
                                  value_integer(transaction_now_s(tx))),
                           err);
}

static int advance(struct transaction *tx, void *context, struct error *err)
{
    cleanup(job_release) struct job job = { .number = 0 };
    struct advancing *self = context;
    bool is_ahead;
    int r = find(tx, self, err);

    self->asked = false;
    is_ahead = self->found_s > transaction_now_s(tx);
    if (r < 0 || (is_ahead && self->found_s <= self->next_s))
        return r;
    if (self->found_s != 0 && !is_ahead) {
        r = job_add_in(tx, self->by, self->draft, &job, err);
        self->asked = r == 0;
    }
    return r < 0 ? r : plan(tx, self, err);
}

int schedule_advance(struct database *database, const struct schedule *schedule, int64_t next_s,
                     const struct actor *by, const struct job_draft *draft, bool *out_asked,
                     struct error *err)
{
    struct advancing self = { .schedule = schedule, .next_s = next_s, .by = by, .draft = draft };
    int r = transaction_write(database, advance, &self, err);

    if (r == 0)
        *out_asked = self.asked;
    return r;
}

struct planned {
    const char *key;
    int64_t count;
};

static int is_planned(struct transaction *tx, void *context, struct error *err)
{
    struct planned *self = context;

    return transaction_integer(tx, "SELECT count(*) FROM settings WHERE name = $1",
                               VALUES(value_text(self->key)), &self->count, err);
}

static int forget(struct transaction *tx, void *context, struct error *err)
{
    const struct planned *self = context;

    return transaction_run(tx, "DELETE FROM settings WHERE name = $1",
                           VALUES(value_text(self->key)), err);
}

int schedule_forget(struct database *database, const char *name, struct error *err)
{
    char key[KEY_SIZE];
    struct planned self = { .key = key };
    int r;

    key_of(name, key);
    r = transaction_read(database, is_planned, &self, err);
    return r < 0 || self.count == 0 ? r : transaction_write(database, forget, &self, err);
}
