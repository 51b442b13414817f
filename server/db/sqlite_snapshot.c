/* SPDX-License-Identifier: MIT */
#include "server/db/sqlite_snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "server/db/sqlite_connection.h"

#define STEPS_BETWEEN 20000 /* of SQLite's machine: a few milliseconds */

struct watch {
    database_go_on *go_on;
    void *context;
    int result;
    struct error error;
};

static int look(void *context)
{
    struct watch *watch = context;

    watch->result = watch->go_on(watch->context, &watch->error);
    return watch->result < 0;
}

static int copy(struct sqlite_connection *connection, const char *path, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    int r = sqlite3_prepare_v2(connection->handle, "VACUUM INTO ?1", -1, &statement, NULL);

    if (r == SQLITE_OK)
        r = sqlite3_bind_text(statement, 1, path, -1, SQLITE_STATIC);
    if (r == SQLITE_OK)
        r = sqlite3_step(statement);
    r = r == SQLITE_DONE ? 0 : sqlite_connection_error(connection, r, err);
    sqlite3_finalize(statement);
    return r;
}

static int copy_watched(const char *database_path, const char *path, struct watch *watch,
                        struct error *err)
{
    struct sqlite_connection *connection;
    /* A reader's may write nowhere, not even into the copy. */
    int r = sqlite_connection_open(database_path, SQLITE_USE_WRITER, false, &connection, err);

    if (r < 0)
        return r;
    sqlite3_progress_handler(connection->handle, STEPS_BETWEEN, look, watch);
    r = copy(connection, path, err);
    sqlite_connection_close(connection);
    return watch->result < 0 ? error_set(err, watch->result, "%s", watch->error.text) : r;
}

int sqlite_snapshot(const char *database_path, const char *path, database_go_on *go_on,
                    void *context, struct error *err)
{
    struct watch watch = { .go_on = go_on, .context = context };
    /* Empty, for the owner alone, before SQLite makes one that others can read. */
    cleanup_fd int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int r;

    if (fd < 0)
        return error_system(err, errno, "%s", path);
    r = go_on(context, err);
    if (r >= 0)
        r = copy_watched(database_path, path, &watch, err);
    if (r >= 0)
        r = file_sync(fd, err);
    if (r < 0)
        unlink(path);
    return r;
}
