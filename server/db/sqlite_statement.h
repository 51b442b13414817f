/* SPDX-License-Identifier: MIT */
#pragma once

#include "server/db/sqlite_connection.h"

/*
 * sqlite_statement - a prepared statement and the places of its `$n` parameters
 * (SQLite numbers them by first appearance, not by n).
 */
struct sqlite_statement {
    sqlite3_stmt *handle;
    uint8_t place[VALUE_MAX]; /* of $1, $2 ...; 0: not in the text */
    bool busy;                /* its rows are being read */
    bool kept;                /* in the connection's map; else finalized at the end */
};

/* A kept one that is free, else a new one. */
int sqlite_statement_take(struct sqlite_connection *connection, const char *sql,
                          struct sqlite_statement **out, struct error *err);
int sqlite_statement_bind(struct sqlite_connection *connection, struct sqlite_statement *statement,
                          const struct value *values, size_t count, struct error *err);
void sqlite_statement_give(struct sqlite_statement *statement);
struct sqlite_statement *sqlite_statement_free(struct sqlite_statement *statement);
