/* SPDX-License-Identifier: MIT */
#include "server/db/sqlite_connection.h"

#include <errno.h>
#include <limits.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/sqlite_statement.h"

#define BUSY_TIMEOUT_MS 10000

CLEANUP_DEFINE(sqlite_connection, sqlite_connection_close);

static int constraint_code(int extended)
{
    switch (extended) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
        return -EEXIST;
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        return -EBUSY;
    default:
        return -EINVAL;
    }
}

static int error_code(int result, int extended)
{
    switch (result) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EAGAIN;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_SCHEMA:
        return -EBADMSG;
    case SQLITE_CONSTRAINT:
        return constraint_code(extended);
    case SQLITE_INTERRUPT:
        return -ECANCELED;
    default:
        return extended == SQLITE_IOERR_NOMEM ? -ENOMEM : -EIO;
    }
}

int sqlite_connection_error(struct sqlite_connection *connection, int result, struct error *err)
{
    int extended = result;
    const char *text = sqlite3_errstr(result);

    if (connection->handle != NULL) {
        extended = sqlite3_extended_errcode(connection->handle);
        if ((extended & 0xff) == (result & 0xff))
            text = sqlite3_errmsg(connection->handle);
        else
            extended = result;
    }
    return error_set(err, error_code(result & 0xff, extended), "database: %s", text);
}

int sqlite_connection_script(struct sqlite_connection *connection, const char *text,
                             struct error *err)
{
    int r = sqlite3_exec(connection->handle, text, NULL, NULL, NULL);

    return r == SQLITE_OK ? 0 : sqlite_connection_error(connection, r, err);
}

/* Foreign keys and the durability are of a connection, not of the file. Temporary b-trees of a long
 * statement go to a file, so that memory stays bounded. */
static const char *connection_pragmas(enum sqlite_use use)
{
    if (use == SQLITE_USE_READER)
        return "PRAGMA query_only = ON; PRAGMA cache_size = -2000;";
    return "PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; PRAGMA cache_size = -16000;"
           "PRAGMA temp_store = FILE; PRAGMA wal_autocheckpoint = 2000;"
           "PRAGMA journal_size_limit = 67108864;";
}

int sqlite_connection_open(const char *path, enum sqlite_use use, bool create,
                           struct sqlite_connection **out, struct error *err)
{
    cleanup(cleanup_sqlite_connection) struct sqlite_connection *connection =
        memory_new(sizeof(*connection));
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int r;

    if (connection == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    connection->statements = map_init();
    if (create)
        flags |= SQLITE_OPEN_CREATE;
    r = sqlite3_open_v2(path, &connection->handle, flags, NULL);
    if (r != SQLITE_OK)
        return sqlite_connection_error(connection, r, err);
    sqlite3_busy_timeout(connection->handle, BUSY_TIMEOUT_MS);
    sqlite3_db_config(connection->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    r = sqlite_connection_script(connection, connection_pragmas(use), err);
    if (r < 0)
        return r;
    *out = take_pointer(&connection);
    return 0;
}

struct sqlite_connection *sqlite_connection_close(struct sqlite_connection *connection)
{
    struct span sql;
    void *statement;
    size_t at = 0;

    if (connection == NULL)
        return NULL;
    while (map_next(&connection->statements, &at, &sql, &statement))
        sqlite_statement_free(statement);
    map_release(&connection->statements);
    sqlite3_close_v2(connection->handle);
    return memory_free(connection);
}

int sqlite_run(struct transaction *tx, const char *sql, const struct value *values, size_t count,
               struct error *err)
{
    struct sqlite_connection *connection = tx->state;
    struct sqlite_statement *statement;
    sqlite3_int64 changes;
    int r = sqlite_statement_take(connection, sql, &statement, err);

    if (r < 0)
        return r;
    r = sqlite_statement_bind(connection, statement, values, count, err);
    if (r >= 0) {
        r = sqlite3_step(statement->handle);
        changes = sqlite3_changes64(connection->handle);
        if (r == SQLITE_DONE)
            r = changes > INT_MAX ? INT_MAX : (int)changes;
        else
            r = sqlite_connection_error(connection, r, err);
    }
    sqlite_statement_give(statement);
    return r;
}

int sqlite_run_many(struct transaction *tx, const char *sql, size_t row_count, size_t value_count,
                    transaction_fill *fill, void *context, struct error *err)
{
    struct sqlite_connection *connection = tx->state;
    struct sqlite_statement *statement;
    struct value values[VALUE_MAX];
    int r = sqlite_statement_take(connection, sql, &statement, err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < row_count && r >= 0; i++) {
        fill(context, i, values);
        r = sqlite_statement_bind(connection, statement, values, value_count, err);
        if (r < 0)
            break;
        r = sqlite3_step(statement->handle);
        if (r != SQLITE_DONE)
            r = sqlite_connection_error(connection, r, err);
        sqlite3_reset(statement->handle);
    }
    sqlite_statement_give(statement);
    return r < 0 ? r : 0;
}

int sqlite_script(struct transaction *tx, const char *text, struct error *err)
{
    return sqlite_connection_script(tx->state, text, err);
}

int sqlite_query(struct transaction *tx, const char *sql, const struct value *values, size_t count,
                 struct rows *out_rows, struct error *err)
{
    struct sqlite_connection *connection = tx->state;
    struct sqlite_statement *statement;
    int r = sqlite_statement_take(connection, sql, &statement, err);

    if (r < 0)
        return r;
    r = sqlite_statement_bind(connection, statement, values, count, err);
    if (r < 0) {
        sqlite_statement_give(statement);
        return r;
    }
    *out_rows = (struct rows){ .tx = tx, .state = statement };
    return 0;
}

int sqlite_next(struct rows *rows, struct error *err)
{
    struct sqlite_statement *statement = rows->state;
    int r = sqlite3_step(statement->handle);

    if (r == SQLITE_ROW)
        return 1;
    return r == SQLITE_DONE ? 0 : sqlite_connection_error(rows->tx->state, r, err);
}

static sqlite3_stmt *rows_handle(struct rows *rows)
{
    return ((struct sqlite_statement *)rows->state)->handle;
}

bool sqlite_is_null(struct rows *rows, unsigned column)
{
    return sqlite3_column_type(rows_handle(rows), (int)column) == SQLITE_NULL;
}

int64_t sqlite_integer(struct rows *rows, unsigned column)
{
    return sqlite3_column_int64(rows_handle(rows), (int)column);
}

struct span sqlite_bytes(struct rows *rows, unsigned column)
{
    const void *bytes = sqlite3_column_blob(rows_handle(rows), (int)column);

    return span_of(bytes, (size_t)sqlite3_column_bytes(rows_handle(rows), (int)column));
}

void sqlite_release(struct rows *rows)
{
    sqlite_statement_give(rows->state);
}
