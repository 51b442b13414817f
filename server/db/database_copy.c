/* SPDX-License-Identifier: MIT */
#include "server/db/database_copy.h"

#include <errno.h>

#include "common/base/error.h"
#include "server/db/acts.h"
#include "server/db/push_rows.h"
#include "server/db/transaction.h"

static int end_pushes(struct transaction *tx, struct error *err)
{
    int64_t number;
    int r;

    while ((r = transaction_integer(tx, "SELECT number FROM pushes ORDER BY number LIMIT 1",
                                    NO_VALUES, &number, err)) >= 0) {
        r = push_end(tx, number, true, err);
        if (r < 0)
            return r;
    }
    return r == -ENOENT ? 0 : r;
}

static int settle(struct transaction *tx, void *context, struct error *err)
{
    int r = end_pushes(tx, err);

    if (r < 0)
        return r;
    return transaction_run(tx,
                           "UPDATE jobs SET state = 'cancelled', holder = NULL,"
                           " leased_until = NULL, finished_at = $1,"
                           " problem = 'the database was copied while this was under way'"
                           " WHERE state IN ('queued', 'running')",
                           VALUES(value_integer(transaction_now_s(tx))), err);
}

int database_copy_settle(struct database *copy, struct error *err)
{
    return transaction_write_long(copy, settle, NULL, err);
}

static int tell(struct transaction *tx, void *context, struct error *err)
{
    return act_write(tx, &actor_host, context, err);
}

int database_copy_tell(struct database *copy, const char *operation, const char *data,
                       struct error *err)
{
    struct act act = { .operation = operation, .data = data };

    return transaction_write(copy, tell, &act, err);
}
