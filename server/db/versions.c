/* SPDX-License-Identifier: MIT */
#include "server/db/versions.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/channels.h"
#include "server/db/names.h"
#include "server/db/places.h"
#include "server/db/version_rows.h"

struct lookup {
    const char *project, *app, *name;
    const char *channel;
    struct version version;
};

/* Runs a lookup and hands the version over. */
static int look(struct database *database, transaction_function *function, struct lookup *lookup,
                struct version *out, struct error *err)
{
    int r = transaction_read(database, function, lookup, err);

    if (r < 0) {
        version_release(&lookup->version);
        return r;
    }
    *out = lookup->version;
    return 0;
}

/* Never was, or was purged. */
static int absent(struct transaction *tx, const char *project, const char *app, const char *name,
                  struct error *err)
{
    struct digest content;
    int r = name_look(tx, project, app, name, &content, err);

    if (r < 0)
        return r;
    if (r == 0)
        return error_set(err, -ENOENT, "no version \"%s/%s/%s\"", project, app, name);
    return error_set(err, -ESTALE, "version %s/%s/%s was purged", project, app, name);
}

int version_find_named(struct transaction *tx, const char *project, const char *app,
                       const char *name, struct version *out, struct error *err)
{
    int64_t app_id;
    int r = place_find_any_app(tx, project, app, &app_id, NULL);

    if (r >= 0)
        r = version_find(tx, app_id, name, out, err);
    if (r == 0 || r == -ENOENT)
        return absent(tx, project, app, name, err);
    return r < 0 ? r : 0;
}

static int get(struct transaction *tx, void *context, struct error *err)
{
    struct lookup *lookup = context;

    return version_find_named(tx, lookup->project, lookup->app, lookup->name, &lookup->version,
                              err);
}

int version_get(struct database *database, const char *project, const char *app, const char *name,
                struct version *out, struct error *err)
{
    struct lookup lookup = { .project = project, .app = app, .name = name };

    return look(database, get, &lookup, out, err);
}

static int find_on_channel(struct transaction *tx, struct lookup *lookup, int64_t app_id,
                           struct error *err)
{
    int64_t id;
    int r =
        transaction_integer(tx,
                            "SELECT v.id FROM channels c JOIN versions v ON v.id = c.version_id"
                            " WHERE c.app_id = $1 AND c.name = $2 AND v.state = 'ready'",
                            VALUES(value_integer(app_id), value_text(lookup->channel)), &id, err);

    return r < 0 ? r : version_find_id(tx, id, &lookup->version, err);
}

static int get_on_channel(struct transaction *tx, void *context, struct error *err)
{
    struct lookup *lookup = context;
    int64_t app_id;
    int r = place_find_app(tx, lookup->project, lookup->app, &app_id, err);

    if (r < 0)
        return r;
    r = find_on_channel(tx, lookup, app_id, err);
    if (r == -ENOENT)
        return error_set(err, r, "nothing is on channel %s of %s/%s", lookup->channel,
                         lookup->project, lookup->app);
    return r;
}

int version_on_channel(struct database *database, const char *project, const char *app,
                       const char *channel, struct version *out, struct error *err)
{
    struct lookup lookup = { .project = project, .app = app, .channel = channel };

    return look(database, get_on_channel, &lookup, out, err);
}

static int get_latest(struct transaction *tx, void *context, struct error *err)
{
    struct lookup *lookup = context;
    int64_t app_id;
    int64_t id;
    int r = place_find_app(tx, lookup->project, lookup->app, &app_id, err);

    if (r < 0)
        return r;
    r = find_on_channel(tx, lookup, app_id, err);
    if (r != -ENOENT)
        return r;
    r = transaction_integer(tx,
                            "SELECT id FROM versions WHERE app_id = $1 AND state = 'ready'"
                            " ORDER BY created_at DESC, id DESC LIMIT 1",
                            VALUES(value_integer(app_id)), &id, err);
    if (r == -ENOENT)
        return error_set(err, r, "%s/%s has no version", lookup->project, lookup->app);
    return r < 0 ? r : version_find_id(tx, id, &lookup->version, err);
}

int version_latest(struct database *database, const char *project, const char *app,
                   struct version *out, struct error *err)
{
    struct lookup lookup = { .project = project, .app = app, .channel = CHANNEL_DEFAULT };

    return look(database, get_latest, &lookup, out, err);
}

struct listing {
    const char *project, *app;
    enum version_state state;
    int64_t before_s, before_id;
    size_t limit;
    struct version *items;
    size_t count;
};

static const char *const list_texts[] = {
    [VERSION_READY] = VERSION_SELECT "WHERE v.app_id = $1 AND v.state = 'ready'"
                                     " AND (v.created_at, v.id) < ($2, $3)"
                                     " ORDER BY v.created_at DESC, v.id DESC LIMIT $4",
    [VERSION_TRASHED] = VERSION_SELECT "WHERE v.app_id = $1 AND v.state = 'trashed'"
                                       " AND (v.trashed_at, v.id) < ($2, $3)"
                                       " ORDER BY v.trashed_at DESC, v.id DESC LIMIT $4",
};

/* The trash of an app that was deleted is there for as long as anything is in it. */
static int find_listed(struct transaction *tx, const struct listing *listing, int64_t *out_app_id,
                       struct error *err)
{
    int64_t trashed;
    int r = place_find_app(tx, listing->project, listing->app, out_app_id, err);

    if (r != -ENOENT || listing->state != VERSION_TRASHED)
        return r;
    r = place_find_any_app(tx, listing->project, listing->app, out_app_id, err);
    if (r >= 0)
        r = transaction_integer(tx, "SELECT id FROM versions WHERE app_id = $1 LIMIT 1",
                                VALUES(value_integer(*out_app_id)), &trashed, err);
    return r == -ENOENT ? error_set(err, r, "no app \"%s/%s\"", listing->project, listing->app) : r;
}

static int list(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct listing *listing = context;
    int64_t before_s = listing->before_id == 0 ? INT64_MAX : listing->before_s;
    int64_t app_id;
    int r = find_listed(tx, listing, &app_id, err);

    if (r >= 0)
        r = transaction_query(tx, list_texts[listing->state],
                              VALUES(value_integer(app_id), value_integer(before_s),
                                     value_integer(listing->before_id),
                                     value_integer((int64_t)listing->limit)),
                              &rows, err);
    while (r >= 0 && (r = rows_next(&rows, err)) > 0)
        r = version_read(&rows, &listing->items[listing->count++], err);
    return r;
}

struct version *version_list_free(struct version *items, size_t count)
{
    for (size_t i = 0; items != NULL && i < count; i++)
        version_release(&items[i]);
    return memory_free(items);
}

static int list_state(struct database *database, struct listing listing, struct version **out_items,
                      size_t *out_count, struct error *err)
{
    int r;

    listing.items = memory_array(listing.limit, sizeof(*listing.items));
    if (listing.items == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = transaction_read(database, list, &listing, err);
    if (r < 0) {
        version_list_free(listing.items, listing.count);
        return r;
    }
    *out_items = listing.items;
    *out_count = listing.count;
    return 0;
}

int version_list(struct database *database, const char *project, const char *app, int64_t before_s,
                 int64_t before_id, size_t limit, struct version **out_items, size_t *out_count,
                 struct error *err)
{
    const struct listing listing = { .project = project,
                                     .app = app,
                                     .state = VERSION_READY,
                                     .before_s = before_s,
                                     .before_id = before_id,
                                     .limit = limit };

    return list_state(database, listing, out_items, out_count, err);
}

int version_list_trash(struct database *database, const char *project, const char *app,
                       int64_t before_s, int64_t before_id, size_t limit,
                       struct version **out_items, size_t *out_count, struct error *err)
{
    const struct listing listing = { .project = project,
                                     .app = app,
                                     .state = VERSION_TRASHED,
                                     .before_s = before_s,
                                     .before_id = before_id,
                                     .limit = limit };

    return list_state(database, listing, out_items, out_count, err);
}

struct holding {
    int64_t id;
    const char *token_id;
    int64_t expires_at_s;
};

static int leased_to(struct transaction *tx, void *context, struct error *err)
{
    struct holding *holding = context;

    return transaction_integer(tx,
                               "SELECT max(expires_at) FROM leases"
                               " WHERE version_id = $1 AND token_id = $2 AND expires_at > $3",
                               VALUES(value_integer(holding->id), value_text(holding->token_id),
                                      value_integer(transaction_now_s(tx))),
                               &holding->expires_at_s, err);
}

int version_leased_to(struct database *database, int64_t id, const char *token_id,
                      int64_t *out_expires_at_s, struct error *err)
{
    struct holding holding = { .id = id, .token_id = token_id };
    int r = transaction_read(database, leased_to, &holding, err);

    if (r == 0)
        *out_expires_at_s = holding.expires_at_s;
    return r;
}
