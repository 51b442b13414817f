/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "server/db/database.h"
#include "server/db/sqlite_connection.h"

/*
 * sqlite_writer - the one thread that writes, and commits for several at once.
 *
 * Callers queue a transaction function and wait. The thread takes what is queued,
 * runs each function in a savepoint of one transaction of SQLite, commits (one
 * sync of the disk) and wakes them all. A function that fails is undone alone. If
 * SQLite gave the whole transaction up (disk full, I/O error) or the commit fails,
 * each function is run again in a transaction of its own.
 */
struct sqlite_writer;

/* The connection is the writer's from now on, also on failure. */
int sqlite_writer_new(struct database *database, struct sqlite_connection *connection,
                      struct sqlite_writer **out, struct error *err);
/* Ends the thread (nobody waits any more) and closes the connection. NULL is fine; returns NULL. */
struct sqlite_writer *sqlite_writer_free(struct sqlite_writer *writer);

int sqlite_writer_run(struct sqlite_writer *writer, bool alone, transaction_function *function,
                      void *context, struct error *err);

void sqlite_writer_count(struct sqlite_writer *writer, struct database_counts *out);
