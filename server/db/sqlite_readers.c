/* SPDX-License-Identifier: MIT */
#include "server/db/sqlite_readers.h"

#include <errno.h>
#include <pthread.h>

#include "common/base/error.h"
#include "common/base/memory.h"

struct sqlite_readers {
    struct database *database;
    char *path;
    unsigned limit;
    pthread_mutex_t lock; /* what follows */
    pthread_cond_t freed;
    unsigned used;
    unsigned idle_count;
    struct sqlite_connection **idle; /* `limit` places */
};

int sqlite_readers_new(struct database *database, const char *path, unsigned limit,
                       struct sqlite_readers **out, struct error *err)
{
    struct sqlite_readers *readers = memory_new(sizeof(*readers));

    if (readers == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    pthread_mutex_init(&readers->lock, NULL);
    pthread_cond_init(&readers->freed, NULL);
    readers->database = database;
    readers->limit = limit;
    readers->path = memory_text(path);
    readers->idle = memory_array(limit, sizeof(*readers->idle));
    if (readers->path == NULL || readers->idle == NULL) {
        sqlite_readers_free(readers);
        return error_set(err, -ENOMEM, "out of memory");
    }
    *out = readers;
    return 0;
}

struct sqlite_readers *sqlite_readers_free(struct sqlite_readers *readers)
{
    if (readers == NULL)
        return NULL;
    for (unsigned i = 0; i < readers->idle_count; i++)
        sqlite_connection_close(readers->idle[i]);
    memory_free(readers->idle);
    memory_free(readers->path);
    pthread_cond_destroy(&readers->freed);
    pthread_mutex_destroy(&readers->lock);
    return memory_free(readers);
}

static void connection_give(struct sqlite_readers *readers, struct sqlite_connection *connection)
{
    pthread_mutex_lock(&readers->lock);
    readers->used--;
    if (connection != NULL)
        readers->idle[readers->idle_count++] = connection;
    pthread_cond_signal(&readers->freed);
    pthread_mutex_unlock(&readers->lock);
}

static int connection_take(struct sqlite_readers *readers, struct sqlite_connection **out,
                           struct error *err)
{
    struct sqlite_connection *connection = NULL;
    int r = 0;

    pthread_mutex_lock(&readers->lock);
    while (readers->used == readers->limit)
        pthread_cond_wait(&readers->freed, &readers->lock);
    readers->used++;
    if (readers->idle_count > 0)
        connection = readers->idle[--readers->idle_count];
    pthread_mutex_unlock(&readers->lock);
    if (connection == NULL)
        r = sqlite_connection_open(readers->path, SQLITE_USE_READER, false, &connection, err);
    if (r < 0) {
        connection_give(readers, NULL);
        return r;
    }
    *out = connection;
    return 0;
}

int sqlite_readers_run(struct sqlite_readers *readers, transaction_function *function,
                       void *context, struct error *err)
{
    struct transaction tx = { .database = readers->database };
    struct sqlite_connection *connection;
    int r = connection_take(readers, &connection, err);

    if (r < 0)
        return r;
    tx.state = connection;
    r = sqlite_connection_script(connection, "BEGIN", err);
    if (r >= 0)
        r = function(&tx, context, err);
    if (sqlite3_get_autocommit(connection->handle) == 0)
        (void)sqlite_connection_script(connection, "ROLLBACK", NULL);
    connection_give(readers, connection);
    return r < 0 ? r : 0;
}
