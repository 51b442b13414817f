/* SPDX-License-Identifier: MIT */
#include "server/db/blob_bases.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "server/db/blob_rows.h"
#include "server/db/push_rows.h"

/* How long it takes depends on the caller's own apps, not on how many versions of others have the
 * blob: one that is nobody's business takes as long as one that does not exist. */
static const char find_everywhere[] =
    "SELECT " BLOB_COLUMNS " FROM blobs b WHERE b.sha256 = $1 AND b.state <> 'uploading'"
    " AND b.state IN ('live', 'condemned') AND EXISTS"
    " (SELECT 1 FROM version_blobs e WHERE e.blob_id = b.id)";
static const char find_in_scope[] =
    "SELECT " BLOB_COLUMNS " FROM blobs b WHERE b.sha256 = $1 AND b.state <> 'uploading'"
    " AND b.state IN ('live', 'condemned') AND EXISTS (SELECT 1 FROM version_blobs e"
    " WHERE e.blob_id = b.id AND e.app_id IN (SELECT a.id FROM apps a"
    " JOIN projects p ON p.id = a.project_id WHERE p.name = $2 AND ($3 IS NULL OR a.name = $3)))";

struct lookup {
    int64_t push_number;
    const char *project, *app;
    const struct digest *sha256;
    struct blob blob;
};

static int find_in(struct transaction *tx, const struct lookup *lookup, struct blob *out,
                   struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    const struct value values[] = { value_digest(lookup->sha256), value_text(lookup->project),
                                    value_text(lookup->app) };
    bool is_everywhere = lookup->project == NULL;
    int r = transaction_query(tx, is_everywhere ? find_everywhere : find_in_scope, values,
                              is_everywhere ? 1 : 3, &rows, err);

    if (r >= 0)
        r = rows_next(&rows, err);
    if (r < 0)
        return r;
    return r == 0 ? error_set(err, -ENOENT, "no such blob here") : blob_read(&rows, 0, out, err);
}

static int find(struct transaction *tx, void *context, struct error *err)
{
    struct lookup *lookup = context;

    return find_in(tx, lookup, &lookup->blob, err);
}

int blob_base_find(struct database *database, const char *project, const char *app,
                   const struct digest *sha256, struct blob *out, struct error *err)
{
    struct lookup lookup = { .project = project, .app = app, .sha256 = sha256 };
    int r = transaction_read(database, find, &lookup, err);

    if (r < 0)
        return r;
    *out = lookup.blob;
    return 0;
}

static int hold_add(struct transaction *tx, int64_t push_number, int64_t blob_id, struct error *err)
{
    return transaction_run(tx,
                           "INSERT INTO push_bases (push, blob_id) VALUES ($1, $2)"
                           " ON CONFLICT DO NOTHING",
                           VALUES(value_integer(push_number), value_integer(blob_id)), err);
}

static int reprieve(struct transaction *tx, int64_t blob_id, struct error *err)
{
    return transaction_run(tx,
                           "UPDATE blobs SET state = 'live', changed_at = $2"
                           " WHERE id = $1 AND state = 'condemned'",
                           VALUES(value_integer(blob_id), value_integer(transaction_now_s(tx))),
                           err);
}

/* First the hold, then, in a later statement, a look at the state of what is held. */
static int hold(struct transaction *tx, void *context, struct error *err)
{
    struct lookup *lookup = context;
    int r = push_require_alive(tx, lookup->push_number, err);

    if (r >= 0)
        r = find_in(tx, lookup, &lookup->blob, err);
    if (r >= 0)
        r = hold_add(tx, lookup->push_number, lookup->blob.id, err);
    if (r >= 0)
        r = reprieve(tx, lookup->blob.id, err);
    return r < 0 ? r : find_in(tx, lookup, &lookup->blob, err);
}

int blob_base_hold(struct database *database, int64_t push_number, const char *project,
                   const char *app, const struct digest *sha256, struct blob *out,
                   struct error *err)
{
    struct lookup lookup = {
        .push_number = push_number, .project = project, .app = app, .sha256 = sha256
    };
    int r = transaction_write(database, hold, &lookup, err);

    if (r < 0)
        return r;
    *out = lookup.blob;
    return 0;
}
