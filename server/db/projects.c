/* SPDX-License-Identifier: MIT */
#include "server/db/projects.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "server/db/places.h"
#include "server/db/transaction.h"

#define PROJECT_COLUMNS                                                                  \
    "p.id, p.name, p.created_at, (SELECT count(*) FROM apps a WHERE a.project_id = p.id" \
    " AND a.deleted_at IS NULL),"                                                        \
    " coalesce(p.retain_count, -1)"

struct lookup {
    const char *name;
    const struct actor *by;
    struct project project;
    bool created;
};

static int project_read(struct rows *rows, void *out_item, struct error *err)
{
    struct project *out = out_item;

    out->id = rows_integer(rows, 0);
    out->created_at_s = rows_integer(rows, 2);
    out->app_count = (uint64_t)rows_integer(rows, 3);
    out->retain_versions = rows_integer(rows, 4);
    return rows_text(rows, 1, out->name, sizeof(out->name), err);
}

static int get(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct lookup *lookup = context;
    int r = transaction_query(tx,
                              "SELECT " PROJECT_COLUMNS
                              " FROM projects p WHERE p.name = $1 AND p.deleted_at IS NULL",
                              VALUES(value_text(lookup->name)), &rows, err);

    if (r >= 0)
        r = rows_next(&rows, err);
    if (r < 0)
        return r;
    if (r == 0)
        return error_set(err, -ENOENT, "no project \"%s\"", lookup->name);
    return project_read(&rows, &lookup->project, err);
}

int project_get(struct database *database, const char *name, struct project *out, struct error *err)
{
    struct lookup lookup = { .name = name };
    int r = transaction_read(database, get, &lookup, err);

    if (r < 0)
        return r;
    *out = lookup.project;
    return 0;
}

static int put(struct transaction *tx, void *context, struct error *err)
{
    struct lookup *lookup = context;
    int64_t id;
    int r = place_project(tx, lookup->name, lookup->by, &id, &lookup->created, err);

    return r < 0 ? r : get(tx, context, err);
}

int project_put(struct database *database, const char *name, const struct actor *by,
                struct project *out, bool *out_created, struct error *err)
{
    struct lookup lookup = { .name = name, .by = by };
    int r = transaction_write(database, put, &lookup, err);

    if (r < 0)
        return r;
    *out = lookup.project;
    if (out_created != NULL)
        *out_created = lookup.created;
    return 0;
}

int project_list(struct database *database, const char *only, const char *after, size_t limit,
                 struct project **out_items, size_t *out_count, struct error *err)
{
    static const struct row_shape shape = { .size = sizeof(struct project), .read = project_read };
    void *items;
    int r = transaction_list(database,
                             "SELECT " PROJECT_COLUMNS " FROM projects p"
                             " WHERE p.deleted_at IS NULL AND p.name > $1"
                             " AND (CAST($2 AS TEXT) IS NULL OR p.name = $2)"
                             " ORDER BY p.name LIMIT $3",
                             VALUES(value_text(after == NULL ? "" : after), value_text(only),
                                    value_integer((int64_t)limit)),
                             &shape, limit, &items, out_count, err);

    if (r == 0)
        *out_items = items;
    return r;
}
