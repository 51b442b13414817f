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

/* When the version of that name that is not there any more went; 0: there was none. */
static int find_end(struct transaction *tx, const char *project, const char *app,
                    const char *version, int64_t *out, struct error *err)
{
    int r = transaction_integer(tx,
                                "SELECT coalesce(max(purged_at), 0) FROM names"
                                " WHERE project = $1 AND app = $2 AND version = $3",
                                VALUES(value_text(project), value_text(app), value_text(version)),
                                out, err);

    return r < 0 ? r : 0;
}

int name_spend(struct transaction *tx, const char *project, const char *app, const char *version,
               const struct digest *content, int64_t *out_created_at_s, struct error *err)
{
    const int64_t now_s = transaction_now_s(tx);
    int64_t end_s;
    int r = find_end(tx, project, app, version, &end_s, err);

    if (r >= 0)
        r = transaction_run(
            tx,
            "INSERT INTO names (project, app, version, content, spent_at)"
            " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (project, app, version)"
            " DO UPDATE SET content = excluded.content WHERE names.content = excluded.content",
            VALUES(value_text(project), value_text(app), value_text(version), value_digest(content),
                   value_integer(now_s)),
            err);
    if (r < 0)
        return r;
    if (r != 1)
        return error_set(err, -EEXIST, "%s/%s/%s is spent on other content", project, app, version);
    *out_created_at_s = now_s > end_s ? now_s : end_s + 1;
    return 0;
}

int name_mark_purged(struct transaction *tx, const char *project, const char *app,
                     const char *version, int64_t created_at_s, int64_t purged_at_s,
                     struct error *err)
{
    const int64_t end_s = purged_at_s > created_at_s ? purged_at_s : created_at_s;

    return transaction_run(tx,
                           "UPDATE names SET purged_at = max(coalesce(purged_at, 0), $4)"
                           " WHERE project = $1 AND app = $2 AND version = $3",
                           VALUES(value_text(project), value_text(app), value_text(version),
                                  value_integer(end_s)),
                           err);
}
