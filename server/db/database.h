/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct error;

/*
 * database - what this server knows, in SQLite now and in PostgreSQL later.
 *
 * Callers open one and pass it to the functions of the entities (projects.h,
 * apps.h, versions.h, blobs.h, pushes.h, push_blobs.h, tokens.h, channels.h,
 * events.h, settings.h, tombstones.h ...). Each of those is one statement or one
 * transaction: it has happened, durably, when it returned 0, or not at all. All
 * of them block (disk, locks): they are called from workers, never from an event
 * loop. Any thread.
 *
 * Errors, from every call:
 *   -ENOENT   no such row          -EEXIST  taken by something else
 *   -ESTALE   purged for ever      -EAGAIN  the database is away or locked: later
 *   -EBADMSG  the file is damaged, or not what it should be
 *   -ENOSPC, -EROFS, -EIO, -ENOMEM
 */
struct database;

struct database_options {
    const char *location; /* "sqlite:PATH" or "sqlite::memory:" (tests) */
    bool create;          /* make it when it is not there */
    bool verify;  /* look through the whole file first (up to 1 GiB): after an unclean end */
    bool migrate; /* bring an older schema up to date; false: -EBADMSG when it is older */
    unsigned reader_count;  /* 0: a default */
    int64_t (*now_s)(void); /* NULL: the system's clock */
};

/* Checks: a local file system (-ENOTSUP on a network one), the file's application id, migrations
 * (names and checksums of those applied must be ours; a newer schema than this program's:
 * -ENOTSUP). */
int database_open(const struct database_options *options, struct database **out_database,
                  struct error *err);
struct database *database_close(struct database *database); /* NULL is fine; returns NULL */

const char *database_name(const struct database *database); /* "sqlite" */
int64_t database_now_s(const struct database *database);

/* Answers and can be written: for readyz. */
int database_check(struct database *database, struct error *err);

/* Counts up, in every process that has this database, whenever a token was created, changed or
 * revoked. Reading costs no more than a load from memory: what was cached about tokens is right as
 * long as the number is the same. */
uint64_t database_epoch(struct database *database);
/* The same for versions: it moves when one goes to the trash, comes back or is purged. */
uint64_t database_version_epoch(struct database *database);

/* Writes the database as it stands at one moment into a new file, which "sqlite:PATH" opens; others
 * go on reading and writing. The file is durable, and its owner's alone. `go_on` is called every so
 * often (never from another thread), and what it returns below 0 ends it. -EEXIST: `path` is there.
 * On failure nothing is left. -ENOTSUP in memory. */
typedef int database_go_on(void *context, struct error *err);
int database_snapshot(struct database *database, const char *path, database_go_on *go_on,
                      void *context, struct error *err);

/* Transactions that changed something, the commits (each one sync of the disk) that carried them,
 * and the statements of all transactions. */
struct database_counts {
    uint64_t transactions, commits, statements;
};
void database_count(struct database *database, struct database_counts *out);

void database_close_at(struct database **at); /* for cleanup() */
