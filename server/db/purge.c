/* SPDX-License-Identifier: MIT */
#include "server/db/purge.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "server/db/driver.h"
#include "server/db/leases.h"
#include "server/db/names.h"
#include "server/db/places.h"
#include "server/db/read_reports.h"
#include "server/db/version_rows.h"

/* Of versions v; $1 is now. */
#define IS_HELD "EXISTS (SELECT 1 FROM leases l WHERE l.version_id = v.id AND l.expires_at > $1)"

#define IS_DUE "v.state <> 'ready' AND v.trashed_at <= $2 AND NOT " IS_HELD

struct due {
    int64_t before_s;
    size_t limit;
    int64_t *ids;
    size_t count;
};

static int find_due(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct due *due = context;
    int r;

    due->count = 0;
    r = transaction_query(tx,
                          "SELECT v.id FROM versions v WHERE " IS_DUE
                          " ORDER BY v.trashed_at, v.id LIMIT $3",
                          VALUES(value_integer(transaction_now_s(tx)), value_integer(due->before_s),
                                 value_integer((int64_t)due->limit)),
                          &rows, err);
    while (r >= 0 && (r = rows_next(&rows, err)) > 0)
        due->ids[due->count++] = rows_integer(&rows, 0);
    return r;
}

int purge_due(struct database *database, int64_t before_s, size_t limit, int64_t *out_ids,
              size_t *out_count, struct error *err)
{
    struct due due = { .before_s = before_s, .limit = limit, .ids = out_ids };
    int r = transaction_read(database, find_due, &due, err);

    if (r == 0)
        *out_count = due.count;
    return r;
}

static int count_due(struct transaction *tx, void *context, struct error *err)
{
    struct due *due = context;
    int64_t count;
    int r = transaction_integer(tx, "SELECT count(*) FROM versions v WHERE " IS_DUE,
                                VALUES(value_integer(transaction_now_s(tx)),
                                       value_integer(due->before_s)),
                                &count, err);

    due->count = r < 0 ? 0 : (size_t)count;
    return r;
}

int purge_due_count(struct database *database, int64_t before_s, uint64_t *out, struct error *err)
{
    struct due due = { .before_s = before_s };
    int r = transaction_read(database, count_due, &due, err);

    if (r == 0)
        *out = due.count;
    return r;
}

struct purging {
    int64_t id;
    int64_t before_s;
    const struct actor *by;
};

/* In the trash for its time, and in nobody's hands. */
static int check(struct transaction *tx, const struct version *version, int64_t before_s,
                 struct error *err)
{
    int64_t held;
    int r;

    if (version->state == VERSION_READY)
        return error_set(err, -EBUSY, "version %s is not in the trash", version->name);
    if (version->trashed_at_s > before_s)
        return error_set(err, -EBUSY, "version %s is not long in the trash", version->name);
    r = transaction_integer(tx, "SELECT count(*) FROM versions v WHERE v.id = $2 AND " IS_HELD,
                            VALUES(value_integer(transaction_now_s(tx)),
                                   value_integer(version->id)),
                            &held, err);
    if (r < 0)
        return r;
    return held == 0 ? 0 : error_set(err, -EBUSY, "version %s is in use", version->name);
}

/* What points at it and is no hold; `statement` has the version as $1. */
static int pointers_drop(struct transaction *tx, int64_t id, struct error *err)
{
    static const char *const statements[] = {
        "DELETE FROM channels WHERE version_id = $1",
        "UPDATE channels SET previous_id = NULL WHERE previous_id = $1",
    };
    int r = 0;

    for (size_t i = 0; r >= 0 && i < sizeof(statements) / sizeof(statements[0]); i++)
        r = transaction_run(tx, statements[i], VALUES(value_integer(id)), err);
    return r;
}

/* The edges go and leave candidates; then nothing of this version refers to a blob. */
static int edges_drop(struct transaction *tx, int64_t id, struct error *err)
{
    int r = transaction_run(tx,
                            "INSERT INTO gc_candidates (blob_id, since)"
                            " SELECT blob_id, $2 FROM version_blobs WHERE version_id = $1"
                            " ON CONFLICT DO NOTHING",
                            VALUES(value_integer(id), value_integer(transaction_now_s(tx))), err);

    if (r < 0)
        return r;
    return transaction_run(tx, "DELETE FROM version_blobs WHERE version_id = $1",
                           VALUES(value_integer(id)), err);
}

static int note_record(struct transaction *tx, const struct version *version, struct error *err)
{
    return transaction_run(tx,
                           "INSERT INTO purged_records (project, app, version, content,"
                           " created_at, purged_at) VALUES ($1, $2, $3, $4, $5, $6)",
                           VALUES(value_text(version->project), value_text(version->app),
                                  value_text(version->name), value_digest(&version->content),
                                  value_integer(version->created_at_s),
                                  value_integer(transaction_now_s(tx))),
                           err);
}

static int purge(struct transaction *tx, void *context, struct error *err)
{
    cleanup(version_release) struct version version = version_empty();
    struct act act = { .operation = "version.purge", .event = "version.purged" };
    struct purging *self = context;
    int r = version_find_id(tx, self->id, &version, err);

    if (r == 0)
        return error_set(err, -ENOENT, "no such version");
    if (r > 0)
        r = check(tx, &version, self->before_s, err);
    if (r >= 0)
        r = lease_drop_version(tx, version.id, self->by, err);
    if (r >= 0)
        r = pointers_drop(tx, version.id, err);
    if (r >= 0)
        r = read_report_drop(tx, version.id, err);
    if (r >= 0)
        r = edges_drop(tx, version.id, err);
    if (r >= 0)
        r = transaction_run(tx, "DELETE FROM versions WHERE id = $1",
                            VALUES(value_integer(version.id)), err);
    if (r >= 0)
        r = place_forget_app(tx, version.app_id, err);
    if (r >= 0)
        r = name_mark_purged(tx, version.project, version.app, version.name, version.created_at_s,
                             transaction_now_s(tx), err);
    if (r >= 0)
        r = note_record(tx, &version, err);
    act.project = version.project;
    act.app = version.app;
    act.version = version.name;
    return r < 0 ? r : act_write(tx, self->by, &act, err);
}

int version_purge(struct database *database, int64_t id, int64_t before_s, const struct actor *by,
                  struct error *err)
{
    struct purging self = { .id = id, .before_s = before_s, .by = by };
    int r = transaction_write_long(database, purge, &self, err);

    if (r == 0)
        database_version_epoch_advance(database);
    return r;
}

static int record_read(struct rows *rows, void *out_item, struct error *err)
{
    struct purged_record *out = out_item;
    int r = rows_text(rows, 1, out->project, sizeof(out->project), err);

    out->id = rows_integer(rows, 0);
    if (r >= 0)
        r = rows_text(rows, 2, out->app, sizeof(out->app), err);
    if (r >= 0)
        r = rows_text(rows, 3, out->version, sizeof(out->version), err);
    if (r >= 0)
        r = rows_digest(rows, 4, &out->content, err);
    out->created_at_s = rows_integer(rows, 5);
    out->purged_at_s = rows_integer(rows, 6);
    return r;
}

int purged_record_list(struct database *database, size_t limit, struct purged_record **out_items,
                       size_t *out_count, struct error *err)
{
    static const struct row_shape shape = { .size = sizeof(struct purged_record),
                                            .read = record_read };
    void *items;
    int r = transaction_list(database,
                             "SELECT id, project, app, version, content, created_at, purged_at"
                             " FROM purged_records ORDER BY id LIMIT $1",
                             VALUES(value_integer((int64_t)limit)), &shape, limit, &items,
                             out_count, err);

    if (r == 0)
        *out_items = items;
    return r;
}

int purged_record_done(struct database *database, int64_t id, struct error *err)
{
    int r = transaction_run_alone(database, "DELETE FROM purged_records WHERE id = $1",
                                  VALUES(value_integer(id)), err);

    return r < 0 ? r : 0;
}
