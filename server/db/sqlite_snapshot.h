/* SPDX-License-Identifier: MIT */
#pragma once

#include "server/db/database.h"

/*
 * sqlite_snapshot - database_snapshot() of a file: VACUUM INTO, on a connection of its own.
 *
 * It reads inside one transaction, so the write-ahead log grows until it has ended.
 */
int sqlite_snapshot(const char *database_path, const char *path, database_go_on *go_on,
                    void *context, struct error *err);
