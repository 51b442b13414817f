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

struct forgetting {
    int64_t before_s;
    size_t limit;
    int count;
};

static int forget(struct transaction *tx, void *context, struct error *err)
{
    struct forgetting *self = context;

    self->count =
        transaction_run(tx,
                        "DELETE FROM audit WHERE id IN (SELECT id FROM audit"
                        " WHERE at < $1 ORDER BY at LIMIT $2)",
                        VALUES(value_integer(self->before_s), value_integer((int64_t)self->limit)),
                        err);
    return self->count;
}

int audit_forget(struct database *database, int64_t before_s, size_t limit, size_t *out_count,
                 struct error *err)
{
    struct forgetting self = { .before_s = before_s, .limit = limit };
    int r = transaction_write(database, forget, &self, err);

    if (r == 0)
        *out_count = (size_t)self.count;
    return r;
}
