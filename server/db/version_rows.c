/* SPDX-License-Identifier: MIT */
#include "server/db/version_rows.h"

#include <assert.h>
#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/places.h"

static const char *const state_names[] = {
    [VERSION_READY] = "ready", [VERSION_TRASHED] = "trashed", [VERSION_PURGING] = "purging"
};

const char *version_state_name(enum version_state state)
{
    assert((unsigned)state < sizeof(state_names) / sizeof(state_names[0]));
    return state_names[state];
}

struct version version_empty(void)
{
    return (struct version){ 0 };
}

void version_metadata_release(struct version_metadata *metadata)
{
    memory_free(metadata->git_commit);
    memory_free(metadata->git_ref);
    memory_free(metadata->vcs_url);
    memory_free(metadata->builder);
    memory_free(metadata->build_url);
    memory_free(metadata->labels);
    *metadata = (struct version_metadata){ 0 };
}

void version_release(struct version *version)
{
    version_metadata_release(&version->metadata);
    memory_free(version->pushed_by);
    memory_free(version->signatures);
    memory_free(version->note);
    memory_free(version->trashed_by);
    memory_free(version->trash_reason);
    *version = version_empty();
}

static int state_read(struct rows *rows, unsigned column, enum version_state *out,
                      struct error *err)
{
    struct span text = rows_bytes(rows, column);

    for (unsigned i = 0; i < sizeof(state_names) / sizeof(state_names[0]); i++) {
        if (span_equal_text(text, state_names[i])) {
            *out = (enum version_state)i;
            return 0;
        }
    }
    return error_set(err, -EBADMSG, "the database has a version of unknown state");
}

static int names_read(struct rows *rows, struct version *out, struct error *err)
{
    int r = rows_text(rows, 2, out->project, sizeof(out->project), err);

    if (r >= 0)
        r = rows_text(rows, 3, out->app, sizeof(out->app), err);
    if (r >= 0)
        r = rows_text(rows, 4, out->name, sizeof(out->name), err);
    if (r >= 0)
        r = rows_digest(rows, 5, &out->content, err);
    if (r >= 0)
        r = rows_digest(rows, 6, &out->times, err);
    if (r >= 0)
        r = rows_digest(rows, 7, &out->tree, err);
    return r;
}

static int texts_read(struct rows *rows, struct version *out, struct error *err)
{
    struct version_metadata *metadata = &out->metadata;
    const struct {
        unsigned column;
        char **text;
    } texts[] = {
        { 17, &metadata->git_commit }, { 18, &metadata->git_ref },   { 19, &metadata->vcs_url },
        { 21, &metadata->builder },    { 22, &metadata->build_url }, { 23, &metadata->labels },
        { 24, &out->pushed_by },       { 25, &out->signatures },     { 26, &out->note },
        { 28, &out->trashed_by },      { 29, &out->trash_reason },
    };
    int r = 0;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]) && r >= 0; i++)
        r = rows_text_copy(rows, texts[i].column, texts[i].text, err);
    metadata->has_build_time = !rows_is_null(rows, 20);
    metadata->build_time_s = rows_integer(rows, 20);
    return r;
}

int version_read(struct rows *rows, struct version *out, struct error *err)
{
    int r;

    out->id = rows_integer(rows, 0);
    out->app_id = rows_integer(rows, 1);
    out->tree_size = (uint64_t)rows_integer(rows, 8);
    out->file_count = (uint64_t)rows_integer(rows, 9);
    out->bytes = (uint64_t)rows_integer(rows, 10);
    out->created_at_s = rows_integer(rows, 11);
    out->pinned = rows_integer(rows, 13) != 0;
    out->listing_blob_id = rows_integer(rows, 14);
    out->times_blob_id = rows_integer(rows, 15);
    out->tree_blob_id = rows_integer(rows, 16);
    out->trashed_at_s = rows_integer(rows, 27);
    r = names_read(rows, out, err);
    if (r >= 0)
        r = state_read(rows, 12, &out->state, err);
    return r < 0 ? r : texts_read(rows, out, err);
}

/* 1 and the first row, or 0. */
static int first_version(struct rows *rows, struct version *out, struct error *err)
{
    int r = rows_next(rows, err);

    if (r <= 0)
        return r;
    version_release(out);
    r = version_read(rows, out, err);
    return r < 0 ? r : 1;
}

int version_find(struct transaction *tx, int64_t app_id, const char *name, struct version *out,
                 struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    int r = transaction_query(tx, VERSION_SELECT "WHERE v.app_id = $1 AND v.name = $2",
                              VALUES(value_integer(app_id), value_text(name)), &rows, err);

    return r < 0 ? r : first_version(&rows, out, err);
}

int version_find_id(struct transaction *tx, int64_t id, struct version *out, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    int r = transaction_query(tx, VERSION_SELECT "WHERE v.id = $1", VALUES(value_integer(id)),
                              &rows, err);

    return r < 0 ? r : first_version(&rows, out, err);
}

int version_insert(struct transaction *tx, const struct version *version, const char *name,
                   const char *pushed_by, int64_t *out_id, struct error *err)
{
    const struct version_metadata *metadata = &version->metadata;

    return transaction_integer(
        tx,
        "INSERT INTO versions (app_id, name, state, content, times, tree, tree_size, file_count,"
        " bytes, listing_blob_id, times_blob_id, tree_blob_id, git_commit, git_ref, vcs_url,"
        " build_time, builder, build_url, labels, signatures, pushed_by, created_at)"
        " VALUES ($1, $2, 'ready', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,"
        " $17, $18, $19, $20, $21) RETURNING id",
        VALUES(value_integer(version->app_id), value_text(name), value_digest(&version->content),
               value_digest(&version->times), value_digest(&version->tree),
               value_integer((int64_t)version->tree_size),
               value_integer((int64_t)version->file_count), value_integer((int64_t)version->bytes),
               value_integer(version->listing_blob_id), value_integer(version->times_blob_id),
               value_integer(version->tree_blob_id), value_text(metadata->git_commit),
               value_text(metadata->git_ref), value_text(metadata->vcs_url),
               metadata->has_build_time ? value_integer(metadata->build_time_s) : value_null(),
               value_text(metadata->builder), value_text(metadata->build_url),
               value_text(metadata->labels), value_text(version->signatures), value_text(pushed_by),
               value_integer(version->created_at_s)),
        out_id, err);
}

int version_is_broken(struct transaction *tx, int64_t id, struct error *err)
{
    int64_t broken;
    int r = transaction_integer(tx,
                                "SELECT EXISTS (SELECT 1 FROM blobs b CROSS JOIN version_blobs e"
                                " ON e.version_id = $1 AND e.blob_id = b.id"
                                " WHERE b.state IN ('missing', 'corrupt'))",
                                VALUES(value_integer(id)), &broken, err);

    return r < 0 ? r : broken != 0;
}

int version_restore_in(struct transaction *tx, struct version *version, const struct actor *by,
                       struct error *err)
{
    const struct act act = { .operation = "version.restore",
                             .event = "version.restored",
                             .project = version->project,
                             .app = version->app,
                             .version = version->name };
    int r;

    if (version->state == VERSION_READY)
        return 0;
    if (version->state == VERSION_PURGING)
        return error_set(err, -ESTALE, "version %s is being purged", version->name);
    r = place_return(tx, version->project, version->app, by, err);
    if (r < 0)
        return r;
    r = transaction_run(tx,
                        "UPDATE versions SET state = 'ready', trashed_at = NULL, trashed_by = NULL,"
                        " trash_reason = NULL WHERE id = $1",
                        VALUES(value_integer(version->id)), err);
    if (r < 0)
        return r;
    version->state = VERSION_READY;
    version->trashed_at_s = 0;
    version->trashed_by = memory_free(version->trashed_by);
    version->trash_reason = memory_free(version->trash_reason);
    return act_write(tx, by, &act, err);
}
