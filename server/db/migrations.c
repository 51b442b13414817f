/* SPDX-License-Identifier: MIT */
#include "server/db/migrations.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "server/db/driver.h"

/* One applied step against ours. */
static int step_compare(struct rows *rows, const struct migration *step, int64_t number,
                        struct error *err)
{
    struct digest checksum;
    int r = rows_digest(rows, 2, &checksum, err);

    if (r < 0)
        return r;
    if (step->number == 0)
        return error_set(err, -ENOTSUP,
                         "the database has schema %lld, this program knows only %lld",
                         (long long)number, (long long)number - 1);
    if (number != step->number || !span_equal_text(rows_bytes(rows, 1), step->name) ||
        !digest_equal(&checksum, &step->checksum))
        return error_set(err, -EBADMSG, "migration %d of the database is not this program's",
                         step->number);
    return 0;
}

/* How many steps the database has. */
static int applied_count(struct transaction *tx, const struct migration *steps, unsigned *out,
                         struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    unsigned count = 0;
    int r =
        transaction_query(tx,
                          "SELECT number, name, checksum FROM schema_migrations ORDER BY number",
                          NO_VALUES, &rows, err);

    while (r >= 0 && (r = rows_next(&rows, err)) > 0) {
        r = step_compare(&rows, &steps[count], rows_integer(&rows, 0), err);
        count++;
    }
    if (r < 0)
        return r;
    *out = count;
    return 0;
}

static int step_apply(struct transaction *tx, const struct migration *step, int64_t now_s,
                      struct error *err)
{
    int r = transaction_script(tx, step->text, err);

    if (r < 0)
        return error_prefix(err, r, "migration %d (%s)", step->number, step->name);
    return transaction_run(tx,
                           "INSERT INTO schema_migrations (number, name, checksum, applied_at)"
                           " VALUES ($1, $2, $3, $4)",
                           VALUES(value_integer(step->number), value_text(step->name),
                                  value_digest(&step->checksum), value_integer(now_s)),
                           err);
}

int migrations_run(struct transaction *tx, const struct migration *steps, bool apply, int64_t now_s,
                   unsigned *out_applied, struct error *err)
{
    unsigned count;
    unsigned applied = 0;
    int r = 0;

    if (apply)
        r = transaction_script(tx,
                               "CREATE TABLE IF NOT EXISTS schema_migrations ("
                               "number INTEGER PRIMARY KEY, name TEXT NOT NULL,"
                               " checksum BLOB NOT NULL, applied_at BIGINT NOT NULL)",
                               err);
    if (r >= 0)
        r = applied_count(tx, steps, &count, err);
    if (r < 0)
        return r;
    if (!apply && steps[count].number != 0)
        return error_set(err, -EBADMSG, "the database needs migration %d (%s)", steps[count].number,
                         steps[count].name);
    for (; steps[count].number != 0; count++, applied++) {
        r = step_apply(tx, &steps[count], now_s, err);
        if (r < 0)
            return r;
    }
    *out_applied = applied;
    return 0;
}
