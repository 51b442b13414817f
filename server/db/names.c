/* SPDX-License-Identifier: MIT */
#include "server/db/names.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "server/db/transaction.h"

int name_look(struct transaction *tx, const char *project, const char *app, const char *version,
              struct digest *out_content, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    int r = transaction_query(tx,
                              "SELECT content FROM names"
                              " WHERE project = $1 AND app = $2 AND version = $3",
                              VALUES(value_text(project), value_text(app), value_text(version)),
                              &rows, err);

    if (r >= 0)
        r = rows_next(&rows, err);
    if (r <= 0)
        return r;
    r = rows_digest(&rows, 0, out_content, err);
    return r < 0 ? r : 1;
}

int name_spend(struct transaction *tx, const char *project, const char *app, const char *version,
               const struct digest *content, struct error *err)
{
    int r =
        transaction_run(tx,
                        "INSERT INTO names (project, app, version, content, spent_at)"
                        " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (project, app, version)"
                        " DO UPDATE SET purged_at = NULL WHERE names.content = excluded.content",
                        VALUES(value_text(project), value_text(app), value_text(version),
                               value_digest(content), value_integer(transaction_now_s(tx))),
                        err);

    if (r < 0)
        return r;
    return r == 1 ? 0
                  : error_set(err, -EEXIST, "%s/%s/%s is spent on other content", project, app,
                              version);
}

int name_mark_purged(struct transaction *tx, const char *project, const char *app,
                     const char *version, struct error *err)
{
    return transaction_run(tx,
                           "UPDATE names SET purged_at = $4"
                           " WHERE project = $1 AND app = $2 AND version = $3",
                           VALUES(value_text(project), value_text(app), value_text(version),
                                  value_integer(transaction_now_s(tx))),
                           err);
}
