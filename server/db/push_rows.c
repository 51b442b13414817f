/* SPDX-License-Identifier: MIT */
#include "server/db/push_rows.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/names.h"
#include "server/db/places.h"
#include "server/db/version_rows.h"

struct push push_empty(void)
{
    return (struct push){ 0 };
}

void push_release(struct push *push)
{
    memory_free(push->base);
    memory_free(push->metadata);
    *push = push_empty();
}

static int names_read(struct rows *rows, struct push *out, struct error *err)
{
    int r = rows_text(rows, 1, out->id, sizeof(out->id), err);

    if (r >= 0)
        r = rows_text(rows, 3, out->project, sizeof(out->project), err);
    if (r >= 0)
        r = rows_text(rows, 4, out->app, sizeof(out->app), err);
    if (r >= 0)
        r = rows_text(rows, 5, out->token_id, sizeof(out->token_id), err);
    if (r >= 0)
        r = rows_text(rows, 6, out->version, sizeof(out->version), err);
    return r;
}

int push_read(struct rows *rows, struct push *out, struct error *err)
{
    int r = names_read(rows, out, err);

    out->number = rows_integer(rows, 0);
    out->app_id = rows_integer(rows, 2);
    out->has_content = !rows_is_null(rows, 7);
    out->has_times = !rows_is_null(rows, 8);
    out->listing_blob_id = rows_integer(rows, 9);
    out->times_blob_id = rows_integer(rows, 10);
    out->tree_blob_id = rows_integer(rows, 11);
    out->created_at_s = rows_integer(rows, 12);
    out->expires_at_s = rows_integer(rows, 13);
    if (r >= 0)
        r = rows_digest(rows, 7, &out->content, err);
    if (r >= 0)
        r = rows_digest(rows, 8, &out->times, err);
    if (r >= 0)
        r = rows_text_copy(rows, 14, &out->base, err);
    if (r >= 0)
        r = rows_text_copy(rows, 15, &out->metadata, err);
    return r;
}

int push_find(struct transaction *tx, int64_t number, struct push *out, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    int r = transaction_query(tx, PUSH_SELECT "WHERE s.number = $1 AND s.expires_at > $2",
                              VALUES(value_integer(number), value_integer(transaction_now_s(tx))),
                              &rows, err);

    if (r >= 0)
        r = rows_next(&rows, err);
    if (r < 0)
        return r;
    return r == 0 ? error_set(err, -ENOENT, "the push has ended") : push_read(&rows, out, err);
}

int push_known(struct transaction *tx, const struct push_name *name, const struct digest *content,
               struct push_result *result, struct error *err)
{
    int64_t app_id = name->app_id;
    int r = name_look(tx, name->project, name->app, name->version, &result->existing, err);

    if (r <= 0)
        return r;
    if (!digest_equal(&result->existing, content)) {
        result->answer = PUSH_ANSWER_CONFLICT;
        return 1;
    }
    if (app_id == 0)
        r = place_find_any_app(tx, name->project, name->app, &app_id, NULL);
    if (r >= 0)
        r = version_find(tx, app_id, name->version, &result->version, err);
    result->answer = PUSH_ANSWER_EXISTS;
    return r == -ENOENT ? 0 : r;
}

int push_require_alive(struct transaction *tx, int64_t number, struct error *err)
{
    int64_t found;
    int r = transaction_integer(tx, "SELECT 1 FROM pushes WHERE number = $1 AND expires_at > $2",
                                VALUES(value_integer(number), value_integer(transaction_now_s(tx))),
                                &found, err);

    return r == -ENOENT ? error_set(err, r, "the push has ended") : r;
}

/* Of blobs, the rows whose bytes are not all there, of the push $1. What is held without being sent
 * was there: only among the sent ones is anything unfinished; and all that has no name yet is. */
#define UNFINISHED                                                                       \
    " FROM blobs b WHERE b.id IN (SELECT h.blob_id FROM push_blobs h WHERE h.push = $1"  \
    " AND h.sent = 1 UNION ALL SELECT n.blob_id FROM push_new_blobs n WHERE n.push = $1" \
    " AND n.blob_id IS NOT NULL) AND b.state = 'uploading'"

static int unfinished_collect(struct transaction *tx, int64_t number, struct buf *ids,
                              struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    int64_t id;
    int r = transaction_query(tx, "SELECT b.id" UNFINISHED " ORDER BY b.id",
                              VALUES(value_integer(number)), &rows, err);

    while (r >= 0 && (r = rows_next(&rows, err)) > 0) {
        id = rows_integer(&rows, 0);
        buf_add(ids, &id, sizeof(id));
    }
    return r < 0 ? r : buf_check(ids, err);
}

static void fill_id(void *context, size_t index, struct value *values)
{
    const struct buf *ids = context;
    int64_t id;

    memcpy(&id, ids->bytes + index * sizeof(id), sizeof(id));
    values[0] = value_integer(id);
}

static int candidates_add(struct transaction *tx, int64_t number, struct error *err)
{
    return transaction_run(
        tx,
        "INSERT INTO gc_candidates (blob_id, since)"
        " SELECT h.blob_id, $2 FROM push_blobs h JOIN blobs b ON b.id = h.blob_id"
        " WHERE h.push = $1 AND b.state <> 'uploading' ON CONFLICT DO NOTHING",
        VALUES(value_integer(number), value_integer(transaction_now_s(tx))), err);
}

static int tombstones_add(struct transaction *tx, int64_t number, struct error *err)
{
    return transaction_run(tx,
                           "INSERT INTO tombstones (storage_key, created_at)"
                           " SELECT b.storage_key, $2" UNFINISHED " ON CONFLICT DO NOTHING",
                           VALUES(value_integer(number), value_integer(transaction_now_s(tx))),
                           err);
}

/* Who lost its last edge while it was held is nobody's any more. */
static int bases_drop(struct transaction *tx, int64_t number, struct error *err)
{
    int r =
        transaction_run(tx,
                        "INSERT INTO gc_candidates (blob_id, since)"
                        " SELECT h.blob_id, $2 FROM push_bases h WHERE h.push = $1"
                        " AND NOT EXISTS (SELECT 1 FROM version_blobs e"
                        " WHERE e.blob_id = h.blob_id) ON CONFLICT DO NOTHING",
                        VALUES(value_integer(number), value_integer(transaction_now_s(tx))), err);

    if (r < 0)
        return r;
    return transaction_run(tx, "DELETE FROM push_bases WHERE push = $1",
                           VALUES(value_integer(number)), err);
}

/* The holds first: then nothing refers to the unfinished rows. */
int push_end(struct transaction *tx, int64_t number, bool abandoned, struct error *err)
{
    cleanup(buf_release) struct buf ids = buf_init(BUF_UNLIMITED);
    int r = unfinished_collect(tx, number, &ids, err);

    if (r >= 0 && abandoned)
        r = candidates_add(tx, number, err);
    if (r >= 0)
        r = tombstones_add(tx, number, err);
    if (r >= 0)
        r = bases_drop(tx, number, err);
    if (r >= 0)
        r = transaction_run(tx, "DELETE FROM push_new_blobs WHERE push = $1",
                            VALUES(value_integer(number)), err);
    if (r >= 0)
        r = transaction_run(tx, "DELETE FROM push_blobs WHERE push = $1",
                            VALUES(value_integer(number)), err);
    if (r >= 0)
        r = transaction_run_many(tx, "DELETE FROM blobs WHERE id = $1 AND state = 'uploading'",
                                 ids.size / sizeof(int64_t), 1, fill_id, &ids, err);
    if (r >= 0)
        r = transaction_run(tx, "DELETE FROM pushes WHERE number = $1",
                            VALUES(value_integer(number)), err);
    return r;
}
