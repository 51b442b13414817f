/* SPDX-License-Identifier: MIT */
#pragma once

#include "server/service/backup.h"

/*
 * restore - a data directory from a backup of one.
 *
 * The database is copied beside its place and brought to this program's schema; then each object of
 * it is read, held against its row and copied (object_copy.h); then the database takes its place.
 * One that was killed leaves no database in its place, and is begun again: what was copied is kept.
 * Nobody uses either of the two meanwhile. The backup is only read.
 */
struct restore {
    const char *backup_path;      /* of the database of the backup */
    const char *database_path;    /* nothing is there yet */
    struct blob_store *from, *to; /* of one id */
};

/* `out` is init'ed by the caller. 0 also when something lacks. -EBUSY: the backup's database was
 * not closed. -EBADMSG: it belongs to another store. */
int restore_run(const struct restore *restore, struct backup_result *out, struct error *err);
