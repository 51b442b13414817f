/* SPDX-License-Identifier: MIT */
#include "server/db/blob_bases.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "server/db/blob_rows.h"

/* A scope that names less takes NULL for the rest. The edges are asked from the blob's side: most
 * blobs are in few versions. */
static const char find_statement[] =
    "SELECT " BLOB_COLUMNS " FROM blobs b WHERE b.sha256 = $1 AND b.state <> 'uploading'"
    " AND b.state IN ('live', 'condemned') AND EXISTS (SELECT 1 FROM version_blobs e"
    " JOIN apps a ON a.id = e.app_id JOIN projects p ON p.id = a.project_id"
    " WHERE e.blob_id = b.id AND ($2 IS NULL OR p.name = $2) AND ($3 IS NULL OR a.name = $3))";

struct lookup {
    const char *project, *app;
    const struct digest *sha256;
    struct blob blob;
};

static int find_in(struct transaction *tx, const struct lookup *lookup, struct blob *out,
                   struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    int r = transaction_query(tx, find_statement,
                              VALUES(value_digest(lookup->sha256), value_text(lookup->project),
                                     value_text(lookup->app)),
                              &rows, err);

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
