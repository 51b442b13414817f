/* SPDX-License-Identifier: MIT */
#include "server/db/apps.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/places.h"
#include "server/db/transaction.h"

#define APP_COLUMNS                                                                   \
    "a.id, a.project_id, p.name, a.name, a.created_at,"                               \
    " (SELECT count(*) FROM versions v WHERE v.app_id = a.id AND v.state = 'ready')," \
    " (SELECT v.name FROM versions v WHERE v.app_id = a.id AND v.state = 'ready'"     \
    " ORDER BY v.created_at DESC, v.id DESC LIMIT 1),"                                \
    " (SELECT v.name FROM channels c JOIN versions v ON v.id = c.version_id"          \
    " WHERE c.app_id = a.id AND c.name = 'live' AND v.state = 'ready'),"              \
    " coalesce(a.retain_count, -1)"

struct lookup {
    const char *project, *name;
    const struct actor *by;
    struct app app;
    bool created;
};

static int app_read(struct rows *rows, void *out_item, struct error *err)
{
    struct app *out = out_item;
    int r;

    out->id = rows_integer(rows, 0);
    out->project_id = rows_integer(rows, 1);
    out->created_at_s = rows_integer(rows, 4);
    out->version_count = (uint64_t)rows_integer(rows, 5);
    out->retain_versions = rows_integer(rows, 8);
    r = rows_text(rows, 2, out->project, sizeof(out->project), err);
    if (r >= 0)
        r = rows_text(rows, 3, out->name, sizeof(out->name), err);
    if (r >= 0)
        r = rows_text(rows, 7, out->live, sizeof(out->live), err);
    if (r >= 0)
        r = rows_text(rows, out->live[0] == '\0' ? 6 : 7, out->latest, sizeof(out->latest), err);
    return r;
}

static int get(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct lookup *lookup = context;
    int r = transaction_query(tx,
                              "SELECT " APP_COLUMNS " FROM apps a"
                              " JOIN projects p ON p.id = a.project_id"
                              " WHERE p.name = $1 AND a.name = $2 AND a.deleted_at IS NULL",
                              VALUES(value_text(lookup->project), value_text(lookup->name)), &rows,
                              err);

    if (r >= 0)
        r = rows_next(&rows, err);
    if (r < 0)
        return r;
    if (r == 0)
        return error_set(err, -ENOENT, "no app \"%s/%s\"", lookup->project, lookup->name);
    return app_read(&rows, &lookup->app, err);
}

int app_get(struct database *database, const char *project, const char *name, struct app *out,
            struct error *err)
{
    struct lookup lookup = { .project = project, .name = name };
    int r = transaction_read(database, get, &lookup, err);

    if (r < 0)
        return r;
    *out = lookup.app;
    return 0;
}

static int put(struct transaction *tx, void *context, struct error *err)
{
    struct lookup *lookup = context;
    int64_t id;
    int r = place_app(tx, lookup->project, lookup->name, lookup->by, &id, &lookup->created, err);

    return r < 0 ? r : get(tx, context, err);
}

int app_put(struct database *database, const char *project, const char *name,
            const struct actor *by, struct app *out, bool *out_created, struct error *err)
{
    struct lookup lookup = { .project = project, .name = name, .by = by };
    int r = transaction_write(database, put, &lookup, err);

    if (r < 0)
        return r;
    *out = lookup.app;
    if (out_created != NULL)
        *out_created = lookup.created;
    return 0;
}

struct listing {
    const char *project, *only, *after;
    size_t limit;
    struct app *items;
    size_t count;
};

static int list(struct transaction *tx, void *context, struct error *err)
{
    static const struct row_shape shape = { .size = sizeof(struct app), .read = app_read };
    cleanup(rows_release) struct rows rows = { 0 };
    struct listing *listing = context;
    int64_t project_id;
    int r = place_find_project(tx, listing->project, &project_id, err);

    if (r >= 0)
        r = transaction_query(tx,
                              "SELECT " APP_COLUMNS " FROM apps a"
                              " JOIN projects p ON p.id = a.project_id"
                              " WHERE a.project_id = $1 AND a.deleted_at IS NULL AND a.name > $2"
                              " AND (CAST($3 AS TEXT) IS NULL OR a.name = $3)"
                              " ORDER BY a.name LIMIT $4",
                              VALUES(value_integer(project_id), value_text(listing->after),
                                     value_text(listing->only),
                                     value_integer((int64_t)listing->limit)),
                              &rows, err);
    return r < 0 ? r
                 : rows_read(&rows, &shape, listing->limit, listing->items, &listing->count, err);
}

int app_list(struct database *database, const char *project, const char *only, const char *after,
             size_t limit, struct app **out_items, size_t *out_count, struct error *err)
{
    struct listing listing = {
        .project = project, .only = only, .after = after == NULL ? "" : after, .limit = limit
    };
    cleanup_memory struct app *items = memory_array(limit, sizeof(*items));
    int r;

    if (items == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    listing.items = items;
    r = transaction_read(database, list, &listing, err);
    if (r < 0)
        return r;
    *out_items = listing.count == 0 ? NULL : take_pointer(&items);
    *out_count = listing.count;
    return 0;
}
