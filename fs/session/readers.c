/* SPDX-License-Identifier: MIT */
/* The threads that take requests, and how they end. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/platform.h"
#include "fs/session/session_private.h"

#define DEFAULT_THREADS 2
#define KICK_SIGNAL SIGUSR1
#define KICK_INTERVAL_NS (10 * 1000 * 1000)

static void ignore_kick(int number)
{
}

struct reader {
    struct session *session;
    pthread_t thread;
    int result;
    atomic_bool ended;
};

static void read_requests(struct reader *reader)
{
    struct session *session = reader->session;
    struct fuse_buf buffer = { .mem = NULL };
    int r = 0;

    while (!atomic_load(&session->stopping) && !fuse_session_exited(session->fuse)) {
        r = session_serve_one(session, &buffer);
        if (r == 0 || (r < 0 && r != -EINTR && r != -EAGAIN))
            break;
    }
    session_buffer_release(session, &buffer);
    reader->result = r == -EINTR || r == -EAGAIN || r > 0 ? 0 : r;
    atomic_store(&reader->ended, true);
    session_stop(session); /* one reader's end is everyone's */
}

static void *reader_main(void *context)
{
    sigset_t kick;

    sigemptyset(&kick);
    sigaddset(&kick, KICK_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
    read_requests(context);
    return NULL;
}

/* A reader sleeps in read(2), which a signal ends; sent again since it may come just before
 * that. */
static void join_reader(struct reader *reader)
{
    static const struct timespec interval = { .tv_nsec = KICK_INTERVAL_NS };

    while (!atomic_load(&reader->ended)) {
        pthread_kill(reader->thread, KICK_SIGNAL);
        nanosleep(&interval, NULL);
    }
    pthread_join(reader->thread, NULL);
}

static void wait_for_stop(struct session *session)
{
    pthread_mutex_lock(&session->lock);
    while (!atomic_load(&session->stopping))
        pthread_cond_wait(&session->stopped, &session->lock);
    pthread_mutex_unlock(&session->lock);
}

/* Fewer readers are slower, not wrong; none is an error. */
static size_t start_readers(struct session *session, struct reader *readers, size_t count)
{
    size_t started = 0;

    while (started < count) {
        readers[started].session = session;
        if (platform_thread_start(&readers[started].thread, reader_main, &readers[started]) != 0)
            break;
        started++;
    }
    return started;
}

int session_run(struct session *session, struct error *err)
{
    size_t count =
        session->options.thread_count != 0 ? session->options.thread_count : DEFAULT_THREADS;
    struct sigaction action = { .sa_handler = ignore_kick }, old;
    cleanup_memory struct reader *readers = memory_array(count, sizeof(*readers));
    size_t started = 0;
    int result = 0;

    if (readers == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    sigaction(KICK_SIGNAL, &action, &old);
    if (session->ring != NULL)
        session_settle_debts(session);
    started = start_readers(session, readers, count);
    if (started > 0)
        wait_for_stop(session);
    for (size_t i = 0; i < started; i++) {
        join_reader(&readers[i]);
        if (readers[i].result < 0)
            result = readers[i].result;
    }
    sigaction(KICK_SIGNAL, &old, NULL);
    if (started == 0)
        return error_set(err, -EAGAIN, "no thread could be started");
    return result < 0 ? error_system(err, -result, "reading from /dev/fuse") : 0;
}

void session_stop(struct session *session)
{
    pthread_mutex_lock(&session->lock);
    atomic_store(&session->stopping, true);
    fuse_session_exit(session->fuse);
    pthread_cond_broadcast(&session->stopped);
    pthread_mutex_unlock(&session->lock);
}
