/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/driver.h"
#include "server/db/file_system.h"
#include "server/db/migrations.h"
#include "server/db/sqlite_epoch.h"
#include "server/db/sqlite_readers.h"
#include "server/db/sqlite_snapshot.h"
#include "server/db/sqlite_writer.h"
#include "server/db/store_founding.h"

#define APPLICATION_ID 0x6b6b6172 /* "kkar" */
#define READERS_DEFAULT 8
#define QUICK_CHECK_MAX (1024LL * 1024 * 1024)

struct sqlite_database {
    struct database base;
    struct sqlite_writer *writer;
    struct sqlite_readers *readers; /* NULL: in memory, the writer reads too */
    struct sqlite_epoch *epoch;
    char *path; /* NULL: in memory */
};

static struct sqlite_database *self_of(struct database *database)
{
    return (struct sqlite_database *)database;
}

static void database_free(struct database *database)
{
    struct sqlite_database *self = self_of(database);

    sqlite_readers_free(self->readers);
    sqlite_writer_free(self->writer);
    sqlite_epoch_close(self->epoch);
    memory_free(self->path);
    memory_free(self);
}

static int transact(struct database *database, enum transaction_kind kind,
                    transaction_function *function, void *context, struct error *err)
{
    struct sqlite_database *self = self_of(database);

    if (kind == TRANSACTION_READ && self->readers != NULL)
        return sqlite_readers_run(self->readers, function, context, err);
    return sqlite_writer_run(self->writer, kind != TRANSACTION_WRITE, function, context, err);
}

static int snapshot(struct database *database, const char *path, database_go_on *go_on,
                    void *context, struct error *err)
{
    const struct sqlite_database *self = self_of(database);

    if (self->path == NULL)
        return error_set(err, -ENOTSUP, "a database in memory cannot be copied");
    return sqlite_snapshot(self->path, path, go_on, context, err);
}

static uint64_t epoch(struct database *database, enum epoch_kind kind)
{
    return sqlite_epoch_get(self_of(database)->epoch, kind);
}

static void epoch_advance(struct database *database, enum epoch_kind kind)
{
    sqlite_epoch_advance(self_of(database)->epoch, kind);
}

static void count(struct database *database, struct database_counts *out)
{
    sqlite_writer_count(self_of(database)->writer, out);
}

/* A number that a pragma or a count gives; run outside of the driver's transactions. */
static int number_get(struct sqlite_connection *connection, const char *sql, int64_t *out,
                      struct error *err)
{
    sqlite3_stmt *statement = NULL;
    int r = sqlite3_prepare_v2(connection->handle, sql, -1, &statement, NULL);

    if (r == SQLITE_OK)
        r = sqlite3_step(statement);
    if (r == SQLITE_ROW)
        *out = sqlite3_column_int64(statement, 0);
    else
        r = sqlite_connection_error(connection, r, err);
    sqlite3_finalize(statement);
    return r == SQLITE_ROW ? 0 : r;
}

/* Ours, or empty and to be filled. */
static int application_check(struct sqlite_connection *connection, bool may_be_empty,
                             struct error *err)
{
    int64_t id;
    int64_t tables;
    int r = number_get(connection, "PRAGMA application_id", &id, err);

    if (r >= 0)
        r = number_get(connection, "SELECT count(*) FROM sqlite_schema", &tables, err);
    if (r < 0)
        return r;
    if (id == APPLICATION_ID || (id == 0 && tables == 0 && may_be_empty))
        return 0;
    if (id == 0 && tables == 0)
        return error_set(err, -EBADMSG, "the database is empty: it needs to be migrated");
    return error_set(err, -EBADMSG, "this is a database of another program");
}

static int integrity_check(struct sqlite_connection *connection, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    int r = sqlite3_prepare_v2(connection->handle, "PRAGMA quick_check(1)", -1, &statement, NULL);
    const char *text;

    if (r == SQLITE_OK)
        r = sqlite3_step(statement);
    if (r == SQLITE_ROW) {
        text = (const char *)sqlite3_column_text(statement, 0);
        r = 0;
        if (text == NULL || strcmp(text, "ok") != 0)
            r = error_set(err, -EBADMSG, "the database is damaged: %s", text == NULL ? "?" : text);
    } else {
        r = sqlite_connection_error(connection, r, err);
    }
    sqlite3_finalize(statement);
    return r;
}

static int schema_prepare(struct sqlite_database *self, struct sqlite_connection *connection,
                          const struct database_options *options, struct error *err)
{
    struct transaction tx = { .database = &self->base, .state = connection };
    int64_t now_s = database_now_s(&self->base);
    unsigned applied = 0;
    int r = sqlite_connection_script(connection, "BEGIN IMMEDIATE", err);

    if (r < 0)
        return r;
    r = application_check(connection, options->migrate, err);
    if (r >= 0)
        r = migrations_run(&tx, migrations_sqlite, options->migrate, now_s, &applied, err);
    if (r >= 0 && applied > 0)
        r = sqlite_connection_script(connection, "PRAGMA application_id = 1802199410", err);
    if (r >= 0 && applied > 0)
        r = store_found(&tx, now_s, err);
    if (r >= 0)
        r = sqlite_connection_script(connection, applied > 0 ? "COMMIT" : "ROLLBACK", err);
    if (sqlite3_get_autocommit(connection->handle) == 0)
        (void)sqlite_connection_script(connection, "ROLLBACK", NULL);
    return r;
}

static int connection_prepare(struct sqlite_database *self, struct sqlite_connection *connection,
                              bool is_file, int64_t file_size,
                              const struct database_options *options, struct error *err)
{
    int r = application_check(connection, options->migrate, err);

    if (r >= 0 && is_file)
        r = sqlite_connection_script(connection, "PRAGMA journal_mode = WAL", err);
    if (r >= 0 && options->verify && file_size > 0 && file_size <= QUICK_CHECK_MAX)
        r = integrity_check(connection, err);
    if (r >= 0)
        r = schema_prepare(self, connection, options, err);
    return r;
}

/* An empty file for the owner alone, before SQLite makes one that others can read; it has the
 * hashes of tokens. SQLite gives its other files the same mode. */
static int file_make(const char *path, struct error *err)
{
    cleanup_fd int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    return fd < 0 ? error_system(err, errno, "%s", path) : 0;
}

static int parts_open(struct sqlite_database *self, const char *path,
                      const struct database_options *options, struct error *err)
{
    bool is_file = strcmp(path, ":memory:") != 0;
    struct sqlite_connection *connection;
    struct stat info = { 0 };
    unsigned limit = options->reader_count == 0 ? READERS_DEFAULT : options->reader_count;
    int r = 0;

    if (is_file && stat(path, &info) != 0 && !(errno == ENOENT && options->create))
        return error_system(err, errno, "%s", path);
    if (is_file)
        r = file_system_require_local(path, err);
    if (r >= 0 && is_file && options->create)
        r = file_make(path, err);
    if (r >= 0)
        r = sqlite_connection_open(path, SQLITE_USE_WRITER, options->create, &connection, err);
    if (r < 0)
        return r;
    r = connection_prepare(self, connection, is_file, info.st_size, options, err);
    if (r < 0) {
        sqlite_connection_close(connection);
        return r;
    }
    r = sqlite_writer_new(&self->base, connection, &self->writer, err);
    if (r >= 0 && is_file)
        r = sqlite_readers_new(&self->base, path, limit, &self->readers, err);
    if (r >= 0)
        r = sqlite_epoch_open(is_file ? path : NULL, &self->epoch, err);
    if (r >= 0 && is_file && (self->path = memory_text(path)) == NULL)
        r = error_set(err, -ENOMEM, "out of memory");
    return r;
}

static int database_new(const char *path, const struct database_options *options,
                        struct database **out_database, struct error *err)
{
    struct sqlite_database *self = memory_new(sizeof(*self));
    int r;

    if (self == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    self->base.driver = &driver_sqlite;
    self->base.now_s = options->now_s;
    r = parts_open(self, path, options, err);
    if (r < 0) {
        database_free(&self->base);
        return error_prefix(err, r, "database %s", path);
    }
    *out_database = &self->base;
    return 0;
}

const struct driver driver_sqlite = {
    .name = "sqlite",
    .open = database_new,
    .close = database_free,
    .transact = transact,
    .run = sqlite_run,
    .run_many = sqlite_run_many,
    .script = sqlite_script,
    .query = sqlite_query,
    .next = sqlite_next,
    .is_null = sqlite_is_null,
    .integer = sqlite_integer,
    .bytes = sqlite_bytes,
    .release = sqlite_release,
    .snapshot = snapshot,
    .epoch = epoch,
    .epoch_advance = epoch_advance,
    .count = count,
};
