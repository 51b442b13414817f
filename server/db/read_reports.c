/* SPDX-License-Identifier: MIT */
#include "server/db/read_reports.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/transaction.h"

struct putting {
    const struct read_report_put *put;
    struct digest sha256;
    bool is_there; /* such a list, of whatever host */
    bool kept;
};

static int look(struct transaction *tx, void *context, struct error *err)
{
    struct putting *self = context;
    int64_t count;
    int r = transaction_integer(tx,
                                "SELECT count(*) FROM read_reports"
                                " WHERE version_id = $1 AND sha256 = $2",
                                VALUES(value_integer(self->put->version_id),
                                       value_digest(&self->sha256)),
                                &count, err);

    if (r >= 0)
        self->is_there = count > 0;
    return r;
}

/* The row whose place a new one takes, 0: none has to go; -EBUSY without words: none may. */
static int find_place(struct transaction *tx, const struct read_report_put *put, int64_t *out_id,
                      struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    int64_t oldest = 0, oldest_own = 0, oldest_at = 0, oldest_own_at = 0;
    size_t count = 0, own = 0;
    int r = transaction_query(tx,
                              "SELECT id, token_id = $2, host = $3, at FROM read_reports"
                              " WHERE version_id = $1 ORDER BY at, id",
                              VALUES(value_integer(put->version_id), value_text(put->token_id),
                                     value_text(put->host)),
                              &rows, err);

    while (r >= 0 && (r = rows_next(&rows, err)) > 0) {
        bool is_of_token = rows_integer(&rows, 1) != 0;

        *out_id = rows_integer(&rows, 0);
        if (is_of_token && rows_integer(&rows, 2) != 0)
            return 0; /* its own */
        if (count++ == 0) {
            oldest = *out_id;
            oldest_at = rows_integer(&rows, 3);
        }
        if (is_of_token && own++ == 0) {
            oldest_own = *out_id;
            oldest_own_at = rows_integer(&rows, 3);
        }
    }
    if (r < 0)
        return r;
    *out_id = 0;
    if (own >= READ_REPORTS_TOKEN_MAX) {
        oldest = oldest_own;
        oldest_at = oldest_own_at;
    } else if (count < READ_REPORTS_MAX) {
        return 0;
    }
    *out_id = oldest;
    return oldest_at <= transaction_now_s(tx) - READ_REPORT_AGE_S ? 0 : -EBUSY;
}

static int write_row(struct transaction *tx, const struct putting *self, int64_t in_place_of,
                     struct error *err)
{
    const struct read_report_put *put = self->put;
    int r = 0;

    if (in_place_of != 0)
        r = transaction_run(tx, "DELETE FROM read_reports WHERE id = $1",
                            VALUES(value_integer(in_place_of)), err);
    if (r >= 0)
        r = transaction_run(
            tx,
            "INSERT INTO read_reports (version_id, token_id, host, sha256, list, at)"
            " VALUES ($1, $2, $3, $4, $5, $6)",
            VALUES(value_integer(put->version_id), value_text(put->token_id), value_text(put->host),
                   value_digest(&self->sha256), value_bytes(put->list.bytes, put->list.size),
                   value_integer(transaction_now_s(tx))),
            err);
    return r;
}

static int write_report(struct transaction *tx, void *context, struct error *err)
{
    struct putting *self = context;
    int64_t in_place_of = 0, count;
    int r = look(tx, self, err);

    self->kept = false;
    if (r < 0 || self->is_there)
        return r;
    r = transaction_integer(tx, "SELECT count(*) FROM versions WHERE id = $1",
                            VALUES(value_integer(self->put->version_id)), &count, err);
    if (r < 0)
        return r;
    if (count == 0)
        return error_set(err, -ENOENT, "the version is gone");
    r = find_place(tx, self->put, &in_place_of, err);
    if (r == -EBUSY)
        return 0;
    if (r >= 0)
        r = write_row(tx, self, in_place_of, err);
    self->kept = r >= 0;
    return r;
}

int read_report_put(struct database *database, const struct read_report_put *put, bool *out_kept,
                    struct error *err)
{
    struct putting self = { .put = put, .sha256 = digest_of_span(put->list) };
    /* Mostly it is known: then the writer is left alone. */
    int r = transaction_read(database, look, &self, err);

    if (r >= 0 && !self.is_there)
        r = transaction_write(database, write_report, &self, err);
    if (r < 0)
        return r;
    *out_kept = self.kept;
    return 0;
}

void read_report_lists_release(struct read_report_list *lists, size_t count)
{
    for (size_t i = 0; i < count; i++)
        memory_free(lists[i].bytes);
}

static int list_read(struct rows *rows, void *out_item, struct error *err)
{
    struct read_report_list *out = out_item;
    struct span list = rows_bytes(rows, 0);

    out->bytes = memory_copy(list.bytes, list.size);
    if (out->bytes == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    out->size = list.size;
    return 0;
}

static void list_release(void *item)
{
    read_report_lists_release(item, 1);
}

int read_report_get(struct database *database, int64_t version_id,
                    struct read_report_list *out_lists, size_t *out_count, struct error *err)
{
    static const struct row_shape shape = { .size = sizeof(struct read_report_list),
                                            .read = list_read,
                                            .release = list_release };
    void *items = NULL;
    int r = transaction_list(database,
                             "SELECT list FROM read_reports WHERE version_id = $1"
                             " ORDER BY at, id LIMIT $2",
                             VALUES(value_integer(version_id), value_integer(READ_REPORTS_MAX)),
                             &shape, READ_REPORTS_MAX, &items, out_count, err);

    if (r < 0)
        return r;
    if (*out_count > 0)
        memcpy(out_lists, items, *out_count * sizeof(*out_lists));
    memory_free(items);
    return 0;
}

struct search {
    int64_t version_id;
    char *out_version;
};

static int find_earlier(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct search *search = context;
    int r = transaction_query(
        tx,
        "SELECT e.name FROM (SELECT v.id, v.name, v.created_at FROM versions v"
        " JOIN versions this ON this.id = $1 WHERE v.app_id = this.app_id AND v.state = 'ready'"
        " AND (v.created_at, v.id) < (this.created_at, this.id)"
        " ORDER BY v.created_at DESC, v.id DESC LIMIT $2) e"
        " WHERE EXISTS (SELECT 1 FROM read_reports r WHERE r.version_id = e.id)"
        " ORDER BY e.created_at DESC, e.id DESC LIMIT 1",
        VALUES(value_integer(search->version_id), value_integer(READ_REPORT_EARLIER_MAX)), &rows,
        err);

    if (r >= 0)
        r = rows_next(&rows, err);
    if (r == 0)
        return error_set(err, -ENOENT, "no version before it has a report");
    return r < 0 ? r : rows_text(&rows, 0, search->out_version, VERSION_NAME_SIZE, err);
}

int read_report_earlier(struct database *database, int64_t version_id,
                        char out_version[VERSION_NAME_SIZE], struct error *err)
{
    char version[VERSION_NAME_SIZE];
    struct search search = { .version_id = version_id, .out_version = version };
    int r = transaction_read(database, find_earlier, &search, err);

    if (r == 0)
        memcpy(out_version, version, sizeof(version));
    return r;
}

int read_report_drop(struct transaction *tx, int64_t version_id, struct error *err)
{
    return transaction_run(tx, "DELETE FROM read_reports WHERE version_id = $1",
                           VALUES(value_integer(version_id)), err);
}

int read_report_copy(struct transaction *tx, int64_t from_id, int64_t to_id, struct error *err)
{
    return transaction_run(tx,
                           "INSERT INTO read_reports (version_id, token_id, host, sha256, list, at)"
                           " SELECT $2, token_id, host, sha256, list, at FROM read_reports"
                           " WHERE version_id = $1",
                           VALUES(value_integer(from_id), value_integer(to_id)), err);
}
