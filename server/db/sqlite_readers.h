/* SPDX-License-Identifier: MIT */
#pragma once

#include "server/db/sqlite_connection.h"

/*
 * sqlite_readers - connections that only read, beside the writer.
 *
 * Each transaction sees the last commit at its first statement, to its end. At
 * most `limit` run at once, others wait; connections are opened when needed.
 */
struct sqlite_readers;

int sqlite_readers_new(struct database *database, const char *path, unsigned limit,
                       struct sqlite_readers **out, struct error *err);
struct sqlite_readers *sqlite_readers_free(struct sqlite_readers *readers); /* NULL is fine */

int sqlite_readers_run(struct sqlite_readers *readers, transaction_function *function,
                       void *context, struct error *err);
