/* SPDX-License-Identifier: MIT */
#include "server/db/rebuilding.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/hex.h"
#include "common/model/merkle.h"
#include "server/db/blob_rows.h"
#include "server/db/names.h"
#include "server/db/places.h"
#include "server/db/store.h"
#include "server/db/version_rows.h"

/* ------------------------------------------------------------ begin and end */

/* Trees are looked for by their verity digest here and nowhere else. */
static int begin(struct transaction *tx, void *context, struct error *err)
{
    int r = transaction_run(tx, "UPDATE store SET id = $1 WHERE one = 1",
                            VALUES(value_text(context)), err);

    if (r >= 0)
        r = transaction_run(tx, "CREATE INDEX blobs_verity ON blobs (verity)", NO_VALUES, err);
    return r;
}

int rebuilding_begin(struct database *database, const char *store_id, struct error *err)
{
    char id[STORE_ID_SIZE] = "";
    struct store store;
    int r = store_get(database, &store, err);

    if (r < 0)
        return r;
    if (!store.is_new)
        return error_set(err, -EEXIST, "the database has blobs or names already");
    if (strlen(store_id) != STORE_ID_SIZE - 1)
        return error_set(err, -EINVAL, "\"%s\" is no store's id", store_id);
    memcpy(id, store_id, sizeof(id));
    return transaction_write(database, begin, id, err);
}

static int end(struct transaction *tx, void *context, struct error *err)
{
    return transaction_run(tx, "DROP INDEX blobs_verity", NO_VALUES, err);
}

int rebuilding_end(struct database *database, struct error *err)
{
    return transaction_write(database, end, NULL, err);
}

/* ------------------------------------------------------------ blobs */

struct adding {
    const struct blob *blobs;
    size_t count, added;
};

static int add_blobs(struct transaction *tx, void *context, struct error *err)
{
    struct adding *self = context;
    int r = 0;

    self->added = 0;
    for (size_t i = 0; r >= 0 && i < self->count; i++) {
        const struct blob *blob = &self->blobs[i];

        r = transaction_run(tx,
                            "INSERT INTO blobs (sha256, size, verity, storage_key, state,"
                            " changed_at) VALUES ($1, $2, $3, $4, 'live', $5)"
                            " ON CONFLICT DO NOTHING",
                            VALUES(value_digest(&blob->sha256), value_integer((int64_t)blob->size),
                                   value_digest(&blob->verity), value_text(blob->key),
                                   value_integer(transaction_now_s(tx))),
                            err);
        self->added += r > 0;
    }
    return r;
}

int rebuilding_blobs(struct database *database, const struct blob *blobs, size_t count,
                     size_t *out_count, struct error *err)
{
    struct adding self = { .blobs = blobs, .count = count };
    int r = transaction_write_long(database, add_blobs, &self, err);

    if (r == 0)
        *out_count = self.added;
    return r;
}

/* ------------------------------------------------------------ names */

static int add_purged(struct transaction *tx, void *context, struct error *err)
{
    const struct purged_record *record = context;
    int64_t created_at_s; /* the record says it */
    int r = name_spend(tx, record->project, record->app, record->version, &record->content,
                       &created_at_s, err);

    if (r < 0)
        return r;
    return name_mark_purged(tx, record->project, record->app, record->version, record->created_at_s,
                            record->purged_at_s, err);
}

int rebuilding_purged(struct database *database, const struct purged_record *record,
                      struct error *err)
{
    struct purged_record copy = *record;

    return transaction_write(database, add_purged, &copy, err);
}

/* ------------------------------------------------------------ versions */

struct finding {
    const struct digest *verity;
    uint64_t size;
    struct blob blob;
};

static int find(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct finding *self = context;
    int r = transaction_query(
        tx, "SELECT " BLOB_COLUMNS " FROM blobs b WHERE b.verity = $1 AND b.size = $2",
        VALUES(value_digest(self->verity), value_integer((int64_t)self->size)), &rows, err);

    if (r >= 0)
        r = blob_next(&rows, &self->blob, err);
    return r == 0 ? error_set(err, -ENOENT, "no such blob") : r;
}

int rebuilding_find(struct database *database, const struct digest *verity, uint64_t size,
                    struct blob *out, struct error *err)
{
    struct finding self = { .verity = verity, .size = size };
    int r = transaction_read(database, find, &self, err);

    if (r == 0)
        *out = self.blob;
    return r;
}

struct versioning {
    const struct rebuilding_version *wanted;
    struct buf blob_ids; /* int64_t each; the listing's, the times' and the tree's first */
    uint64_t missing;
    int64_t app_id;
    int64_t listing_id, times_id;
};

/* verity NULL: whatever it is. *out_id 0, and one more is missing, when there is none. */
static int note_blob(struct transaction *tx, struct versioning *self, const struct digest *sha256,
                     const struct digest *verity, int64_t *out_id, struct error *err)
{
    int r = transaction_integer(tx,
                                "SELECT id FROM blobs WHERE sha256 = $1 AND state <> 'uploading'"
                                " AND ($2 IS NULL OR verity = $2)",
                                VALUES(value_digest(sha256), value_digest(verity)), out_id, err);

    if (r == -ENOENT) {
        *out_id = 0;
        self->missing++;
        return 0;
    }
    if (r >= 0)
        buf_add(&self->blob_ids, out_id, sizeof(*out_id));
    return r;
}

static int note_blobs(struct transaction *tx, struct versioning *self, struct error *err)
{
    const struct rebuilding_version *wanted = self->wanted;
    struct digest sha256, verity;
    int64_t id;
    int r = note_blob(tx, self, &wanted->version->content, NULL, &self->listing_id, err);

    if (r >= 0)
        r = note_blob(tx, self, &wanted->version->times, NULL, &self->times_id, err);
    if (wanted->tree_blob_id != 0)
        buf_add(&self->blob_ids, &wanted->tree_blob_id, sizeof(wanted->tree_blob_id));
    else
        self->missing++;
    for (size_t i = 0; r >= 0 && i < wanted->file_count; i++) {
        wanted->file(wanted->context, i, &sha256, &verity);
        r = note_blob(tx, self, &sha256, &verity, &id, err);
    }
    return r < 0 ? r : buf_check(&self->blob_ids, err);
}

/* The strings stay those of what is wanted. */
static int insert(struct transaction *tx, const struct versioning *self, int64_t *out_id,
                  struct error *err)
{
    struct version version = *self->wanted->version;

    version.app_id = self->app_id;
    version.listing_blob_id = self->listing_id;
    version.times_blob_id = self->times_id;
    version.tree_blob_id = self->wanted->tree_blob_id;
    return version_insert(tx, &version, version.name, version.pushed_by, out_id, err);
}

struct edges {
    const struct versioning *versioning;
    int64_t version_id;
};

static void fill_edge(void *context, size_t index, struct value *values)
{
    const struct edges *edges = context;
    int64_t blob_id;

    memcpy(&blob_id, edges->versioning->blob_ids.bytes + index * sizeof(blob_id), sizeof(blob_id));
    values[0] = value_integer(edges->version_id);
    values[1] = value_integer(blob_id);
    values[2] = value_integer(edges->versioning->app_id);
}

static int add_version(struct transaction *tx, void *context, struct error *err)
{
    cleanup(version_release) struct version known = version_empty();
    struct versioning *self = context;
    const struct version *version = self->wanted->version;
    struct edges edges = { .versioning = self };
    int64_t created_at_s; /* the record says it */
    bool created;
    int r;

    buf_clear(&self->blob_ids);
    self->missing = 0;
    r = place_app(tx, version->project, version->app, &actor_host, &self->app_id, &created, err);
    if (r >= 0)
        r = name_spend(tx, version->project, version->app, version->name, &version->content,
                       &created_at_s, err);
    if (r >= 0)
        r = version_find(tx, self->app_id, version->name, &known, err);
    if (r > 0)
        return error_set(err, -EEXIST, "it has another record");
    if (r == 0)
        r = note_blobs(tx, self, err);
    if (r < 0 || self->missing > 0)
        return r;
    r = insert(tx, self, &edges.version_id, err);
    if (r < 0)
        return r;
    return transaction_run_many(tx,
                                "INSERT INTO version_blobs (version_id, blob_id, app_id)"
                                " VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                                self->blob_ids.size / sizeof(int64_t), 3, fill_edge, &edges, err);
}

int rebuilding_version(struct database *database, const struct rebuilding_version *wanted,
                       uint64_t *out_missing, struct error *err)
{
    struct versioning self = { .wanted = wanted, .blob_ids = buf_init(BUF_UNLIMITED) };
    int r = transaction_write_long(database, add_version, &self, err);

    buf_release(&self.blob_ids);
    if (r == 0)
        *out_missing = self.missing;
    return r;
}

/* ------------------------------------------------------------ what nothing proves */

struct doubting {
    int64_t after;
    bool found;
    struct blob blob;
};

static bool is_key_of(const struct blob *blob)
{
    char hex[17];

    hex_encode(blob->sha256.bytes, 8, hex);
    return memcmp(hex, blob->key, 16) == 0;
}

static int find_doubtful(struct transaction *tx, struct doubting *self, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    int r = transaction_query(tx,
                              "SELECT " BLOB_COLUMNS " FROM blobs b WHERE b.id > $1"
                              " AND b.size <= $2 AND NOT EXISTS (SELECT 1 FROM version_blobs e"
                              " WHERE e.blob_id = b.id) ORDER BY b.id",
                              VALUES(value_integer(self->after), value_integer(MERKLE_PIECE_SIZE)),
                              &rows, err);

    self->found = false;
    while (r >= 0 && !self->found && (r = blob_next(&rows, &self->blob, err)) > 0)
        self->found = !is_key_of(&self->blob);
    return r;
}

static int drop_doubtful(struct transaction *tx, void *context, struct error *err)
{
    struct doubting *self = context;
    int r = find_doubtful(tx, self, err);

    if (r < 0 || !self->found)
        return r;
    return transaction_run(tx, "DELETE FROM blobs WHERE id = $1",
                           VALUES(value_integer(self->blob.id)), err);
}

int rebuilding_doubtful(struct database *database, int64_t after, struct blob *out,
                        struct error *err)
{
    struct doubting self = { .after = after };
    int r = transaction_write(database, drop_doubtful, &self, err);

    if (r < 0 || !self.found)
        return r;
    *out = self.blob;
    return 1;
}
