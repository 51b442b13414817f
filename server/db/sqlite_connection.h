/* SPDX-License-Identifier: MIT */
#pragma once

#include <sqlite3.h>

#include "common/base/map.h"
#include "server/db/transaction.h"

/*
 * sqlite_connection - one connection of SQLite with its prepared statements.
 *
 * One thread at a time. Statements are prepared once and kept by their text.
 */
struct sqlite_connection {
    sqlite3 *handle;
    struct map statements; /* SQL text -> struct sqlite_statement */
};

enum sqlite_use { SQLITE_USE_WRITER, SQLITE_USE_READER };

/* path ":memory:" is a database of its own. create: an absent file is made; else -ENOENT. */
int sqlite_connection_open(const char *path, enum sqlite_use use, bool create,
                           struct sqlite_connection **out, struct error *err);
struct sqlite_connection *sqlite_connection_close(struct sqlite_connection *connection);

/* Statements of no parameters and no rows: pragmas, BEGIN, migrations. */
int sqlite_connection_script(struct sqlite_connection *connection, const char *text,
                             struct error *err);

/* A result of SQLite as one of this project's errors. */
int sqlite_connection_error(struct sqlite_connection *connection, int result, struct error *err);

/* The driver's statement calls (driver.h); tx->state is a struct sqlite_connection. */
int sqlite_run(struct transaction *tx, const char *sql, const struct value *values, size_t count,
               struct error *err);
int sqlite_run_many(struct transaction *tx, const char *sql, size_t row_count, size_t value_count,
                    transaction_fill *fill, void *context, struct error *err);
int sqlite_script(struct transaction *tx, const char *text, struct error *err);
int sqlite_query(struct transaction *tx, const char *sql, const struct value *values, size_t count,
                 struct rows *out_rows, struct error *err);
int sqlite_next(struct rows *rows, struct error *err);
bool sqlite_is_null(struct rows *rows, unsigned column);
int64_t sqlite_integer(struct rows *rows, unsigned column);
struct span sqlite_bytes(struct rows *rows, unsigned column);
void sqlite_release(struct rows *rows);
