/* SPDX-License-Identifier: MIT */
#include "server/db/sqlite_writer.h"

#include <errno.h>
#include <pthread.h>

#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/platform.h"

/* So that the first one of a batch does not wait for ever. */
#define BATCH_MAX 256

struct request {
    struct request *next;
    transaction_function *function;
    void *context;
    bool alone;
    bool done;
    int result;
    struct error error;
    pthread_cond_t ended;
};

struct sqlite_writer {
    struct database *database;
    struct sqlite_connection *connection;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* what follows */
    pthread_cond_t wanted;
    struct request *first;
    struct request **last;
    bool stop;
    struct database_counts counts;
};

static int script(struct sqlite_writer *writer, const char *text, struct error *err)
{
    return sqlite_connection_script(writer->connection, text, err);
}

/* SQLite has given up the whole transaction by itself. */
static bool is_outside(struct sqlite_writer *writer)
{
    return sqlite3_get_autocommit(writer->connection->handle) != 0;
}

static void undo_all(struct sqlite_writer *writer)
{
    if (!is_outside(writer))
        (void)script(writer, "ROLLBACK", NULL);
}

static void function_run(struct sqlite_writer *writer, struct request *request)
{
    struct transaction tx = { .database = writer->database, .state = writer->connection };
    int r = request->function(&tx, request->context, &request->error);

    request->result = r < 0 ? r : 0;
}

/* One function, one transaction. */
static void run_alone(struct sqlite_writer *writer, struct request *request)
{
    int r = script(writer, "BEGIN IMMEDIATE", &request->error);

    if (r < 0) {
        request->result = r;
        return;
    }
    function_run(writer, request);
    if (request->result >= 0)
        request->result = script(writer, "COMMIT", &request->error);
    if (request->result < 0)
        undo_all(writer);
}

/* In a savepoint of its own. False: the whole transaction is gone. */
static bool run_in_batch(struct sqlite_writer *writer, struct request *request)
{
    struct error *err = &request->error;
    int r = script(writer, "SAVEPOINT one", err);

    if (r < 0)
        return false;
    function_run(writer, request);
    if (is_outside(writer))
        return false;
    if (request->result < 0 && script(writer, "ROLLBACK TO one", NULL) < 0)
        return false;
    return script(writer, "RELEASE one", NULL) >= 0;
}

/* False: nothing of the batch has happened. */
static bool run_batch(struct sqlite_writer *writer, struct request *first)
{
    if (script(writer, "BEGIN IMMEDIATE", NULL) < 0)
        return false;
    for (struct request *request = first; request != NULL; request = request->next) {
        if (!run_in_batch(writer, request)) {
            undo_all(writer);
            return false;
        }
    }
    if (script(writer, "COMMIT", NULL) < 0) {
        undo_all(writer);
        return false;
    }
    return true;
}

/* Up to BATCH_MAX from the queue; one that must be alone is alone. */
static struct request *batch_take(struct sqlite_writer *writer)
{
    struct request *first = writer->first;
    struct request *end = first;

    for (unsigned count = 1; count < BATCH_MAX && !first->alone; count++) {
        if (end->next == NULL || end->next->alone)
            break;
        end = end->next;
    }
    writer->first = end->next;
    if (writer->first == NULL)
        writer->last = &writer->first;
    end->next = NULL;
    return first;
}

static unsigned batch_run(struct sqlite_writer *writer, struct request *first)
{
    unsigned commits = 0;

    if (first->next != NULL && run_batch(writer, first))
        return 1;
    for (struct request *request = first; request != NULL; request = request->next) {
        run_alone(writer, request);
        commits++;
    }
    return commits;
}

static void batch_end(struct sqlite_writer *writer, struct request *first, unsigned commits)
{
    struct request *next;

    writer->counts.commits += commits;
    for (struct request *request = first; request != NULL; request = next) {
        next = request->next;
        writer->counts.transactions++;
        request->done = true;
        pthread_cond_signal(&request->ended); /* under the lock: the request lives until then */
    }
}

static void *writer_main(void *context)
{
    struct sqlite_writer *writer = context;
    struct request *batch;
    unsigned commits;

    pthread_mutex_lock(&writer->lock);
    for (;;) {
        while (writer->first == NULL && !writer->stop)
            pthread_cond_wait(&writer->wanted, &writer->lock);
        if (writer->first == NULL)
            break;
        batch = batch_take(writer);
        pthread_mutex_unlock(&writer->lock);
        commits = batch_run(writer, batch);
        pthread_mutex_lock(&writer->lock);
        batch_end(writer, batch, commits);
    }
    pthread_mutex_unlock(&writer->lock);
    return NULL;
}

int sqlite_writer_new(struct database *database, struct sqlite_connection *connection,
                      struct sqlite_writer **out, struct error *err)
{
    struct sqlite_writer *writer = memory_new(sizeof(*writer));
    int r;

    if (writer == NULL) {
        sqlite_connection_close(connection);
        return error_set(err, -ENOMEM, "out of memory");
    }
    writer->database = database;
    writer->connection = connection;
    writer->last = &writer->first;
    pthread_mutex_init(&writer->lock, NULL);
    pthread_cond_init(&writer->wanted, NULL);
    r = platform_thread_start(&writer->thread, writer_main, writer);
    if (r != 0) {
        sqlite_writer_free(writer);
        return error_system(err, r, "the database's thread");
    }
    writer->started = true;
    *out = writer;
    return 0;
}

struct sqlite_writer *sqlite_writer_free(struct sqlite_writer *writer)
{
    if (writer == NULL)
        return NULL;
    pthread_mutex_lock(&writer->lock);
    writer->stop = true;
    pthread_cond_signal(&writer->wanted);
    pthread_mutex_unlock(&writer->lock);
    if (writer->started)
        pthread_join(writer->thread, NULL);
    pthread_cond_destroy(&writer->wanted);
    pthread_mutex_destroy(&writer->lock);
    sqlite_connection_close(writer->connection);
    return memory_free(writer);
}

int sqlite_writer_run(struct sqlite_writer *writer, bool alone, transaction_function *function,
                      void *context, struct error *err)
{
    struct request request = { .function = function, .context = context, .alone = alone };

    pthread_cond_init(&request.ended, NULL);
    pthread_mutex_lock(&writer->lock);
    *writer->last = &request;
    writer->last = &request.next;
    pthread_cond_signal(&writer->wanted);
    while (!request.done)
        pthread_cond_wait(&request.ended, &writer->lock);
    pthread_mutex_unlock(&writer->lock);
    pthread_cond_destroy(&request.ended);
    if (request.result < 0 && err != NULL)
        *err = request.error;
    return request.result;
}

void sqlite_writer_count(struct sqlite_writer *writer, struct database_counts *out)
{
    pthread_mutex_lock(&writer->lock);
    *out = writer->counts;
    pthread_mutex_unlock(&writer->lock);
}
