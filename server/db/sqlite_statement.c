/* SPDX-License-Identifier: MIT */
#include "server/db/sqlite_statement.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"

struct sqlite_statement *sqlite_statement_free(struct sqlite_statement *statement)
{
    if (statement == NULL)
        return NULL;
    sqlite3_finalize(statement->handle);
    return memory_free(statement);
}

CLEANUP_DEFINE(sqlite_statement, sqlite_statement_free);

static void places_find(struct sqlite_statement *statement)
{
    char name[8];

    for (int i = 0; i < VALUE_MAX; i++) {
        snprintf(name, sizeof(name), "$%d", i + 1);
        statement->place[i] = (uint8_t)sqlite3_bind_parameter_index(statement->handle, name);
    }
}

static int statement_make(struct sqlite_connection *connection, const char *sql, bool keep,
                          struct sqlite_statement **out, struct error *err)
{
    cleanup(cleanup_sqlite_statement) struct sqlite_statement *statement =
        memory_new(sizeof(*statement));
    int r;

    if (statement == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = sqlite3_prepare_v3(connection->handle, sql, -1, keep ? SQLITE_PREPARE_PERSISTENT : 0,
                           &statement->handle, NULL);
    if (r != SQLITE_OK)
        return sqlite_connection_error(connection, r, err);
    places_find(statement);
    statement->kept = keep;
    if (keep) {
        r = map_set(&connection->statements, span_text(sql), statement, NULL);
        if (r < 0)
            return error_set(err, r, "out of memory");
    }
    *out = take_pointer(&statement);
    return 0;
}

int sqlite_statement_take(struct sqlite_connection *connection, const char *sql,
                          struct sqlite_statement **out, struct error *err)
{
    struct sqlite_statement *statement = map_get(&connection->statements, span_text(sql));
    int r;

    if (statement == NULL || statement->busy) {
        r = statement_make(connection, sql, statement == NULL, &statement, err);
        if (r < 0)
            return r;
    }
    statement->busy = true;
    *out = statement;
    return 0;
}

static int value_bind(sqlite3_stmt *handle, int place, const struct value *value)
{
    switch (value->kind) {
    case VALUE_NULL:
        return sqlite3_bind_null(handle, place);
    case VALUE_INTEGER:
        return sqlite3_bind_int64(handle, place, value->integer);
    case VALUE_TEXT:
        return sqlite3_bind_text64(handle, place, value->bytes, value->size, SQLITE_STATIC,
                                   SQLITE_UTF8);
    case VALUE_BYTES:
        if (value->size == 0)
            return sqlite3_bind_zeroblob(handle, place, 0);
        return sqlite3_bind_blob64(handle, place, value->bytes, value->size, SQLITE_STATIC);
    }
    return SQLITE_MISUSE;
}

int sqlite_statement_bind(struct sqlite_connection *connection, struct sqlite_statement *statement,
                          const struct value *values, size_t count, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        int r;

        assert(statement->place[i] != 0); /* a value that the text does not use */
        r = value_bind(statement->handle, statement->place[i], &values[i]);
        if (r != SQLITE_OK)
            return sqlite_connection_error(connection, r, err);
    }
    return 0;
}

void sqlite_statement_give(struct sqlite_statement *statement)
{
    sqlite3_reset(statement->handle);
    sqlite3_clear_bindings(statement->handle);
    statement->busy = false;
    if (!statement->kept)
        sqlite_statement_free(statement);
}
