/* SPDX-License-Identifier: MIT */
#include "server/db/audit.h"

#include "common/base/error.h"
#include "server/db/transaction.h"

int audit_write(struct transaction *tx, const struct audit_entry *entry, struct error *err)
{
    return transaction_run(
        tx,
        "INSERT INTO audit (at, actor, token_id, address, request_id, operation, project, app,"
        " version, result, data) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        VALUES(value_integer(transaction_now_s(tx)), value_text(entry->actor),
               value_text(entry->token_id), value_text(entry->address),
               value_text(entry->request_id), value_text(entry->operation),
               value_text(entry->project), value_text(entry->app), value_text(entry->version),
               value_text(entry->result), value_text(entry->data)),
        err);
}

static int add(struct transaction *tx, void *context, struct error *err)
{
    return audit_write(tx, context, err);
}

int audit_add(struct database *database, const struct audit_entry *entry, struct error *err)
{
    struct audit_entry copy = *entry;

    return transaction_write(database, add, &copy, err);
}

int audit_forget(struct database *database, int64_t before_s, size_t limit, size_t *out_count,
                 struct error *err)
{
    int r =
        transaction_run_alone(database,
                              "DELETE FROM audit WHERE id IN (SELECT id FROM audit"
                              " WHERE at < $1 ORDER BY at LIMIT $2)",
                              VALUES(value_integer(before_s), value_integer((int64_t)limit)), err);

    if (r < 0)
        return r;
    *out_count = (size_t)r;
    return 0;
}
