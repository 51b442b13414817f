/* SPDX-License-Identifier: MIT */
#include "common/base/workers.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/platform.h"

struct work {
    workers_function *function;
    void *context;
};

struct workers {
    pthread_mutex_t lock;
    pthread_cond_t work_added;
    pthread_cond_t room_made;
    pthread_cond_t became_idle;
    struct work *queue; /* a ring of queue_limit */
    size_t queue_limit;
    size_t first;
    size_t waiting;
    size_t running;
    bool stopping;
    pthread_t *threads;
    size_t thread_count; /* started ones */
};

static struct work take_work(struct workers *workers)
{
    struct work work = workers->queue[workers->first];

    workers->first = (workers->first + 1) % workers->queue_limit;
    workers->waiting--;
    workers->running++;
    pthread_cond_signal(&workers->room_made);
    return work;
}

static void *worker_main(void *context)
{
    struct workers *workers = context;

    pthread_mutex_lock(&workers->lock);
    for (;;) {
        struct work work;
        while (workers->waiting == 0 && !workers->stopping)
            pthread_cond_wait(&workers->work_added, &workers->lock);
        if (workers->waiting == 0)
            break;
        work = take_work(workers);
        pthread_mutex_unlock(&workers->lock);
        work.function(work.context);
        pthread_mutex_lock(&workers->lock);
        workers->running--;
        if (workers->running == 0 && workers->waiting == 0)
            pthread_cond_broadcast(&workers->became_idle);
    }
    pthread_mutex_unlock(&workers->lock);
    return NULL;
}

int workers_new(struct workers **out_workers, size_t thread_count, size_t queue_limit,
                struct error *err)
{
    struct workers *workers = memory_new(sizeof(*workers));
    int failure = 0;

    if (workers == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->work_added, NULL);
    pthread_cond_init(&workers->room_made, NULL);
    pthread_cond_init(&workers->became_idle, NULL);
    workers->queue_limit = queue_limit;
    workers->queue = memory_array(queue_limit, sizeof(*workers->queue));
    workers->threads = memory_array(thread_count, sizeof(*workers->threads));
    if (workers->queue == NULL || workers->threads == NULL)
        failure = ENOMEM;
    while (failure == 0 && workers->thread_count < thread_count) {
        failure =
            platform_thread_start(&workers->threads[workers->thread_count], worker_main, workers);
        if (failure == 0)
            workers->thread_count++;
    }
    if (failure != 0) {
        workers_free(workers);
        return error_system(err, failure, "cannot start worker threads");
    }
    *out_workers = workers;
    return 0;
}

struct workers *workers_free(struct workers *workers)
{
    if (workers == NULL)
        return NULL;
    pthread_mutex_lock(&workers->lock);
    workers->stopping = true;
    pthread_cond_broadcast(&workers->work_added);
    pthread_mutex_unlock(&workers->lock);
    for (size_t i = 0; i < workers->thread_count; i++)
        pthread_join(workers->threads[i], NULL);
    pthread_cond_destroy(&workers->became_idle);
    pthread_cond_destroy(&workers->room_made);
    pthread_cond_destroy(&workers->work_added);
    pthread_mutex_destroy(&workers->lock);
    memory_free(workers->threads);
    memory_free(workers->queue);
    return memory_free(workers);
}

static void add_work(struct workers *workers, workers_function *function, void *context)
{
    size_t at = (workers->first + workers->waiting) % workers->queue_limit;

    workers->queue[at] = (struct work){ function, context };
    workers->waiting++;
    pthread_cond_signal(&workers->work_added);
}

int workers_try(struct workers *workers, workers_function *function, void *context)
{
    int r = 0;

    pthread_mutex_lock(&workers->lock);
    if (workers->waiting == workers->queue_limit)
        r = -EAGAIN;
    else
        add_work(workers, function, context);
    pthread_mutex_unlock(&workers->lock);
    return r;
}

void workers_submit(struct workers *workers, workers_function *function, void *context)
{
    pthread_mutex_lock(&workers->lock);
    while (workers->waiting == workers->queue_limit)
        pthread_cond_wait(&workers->room_made, &workers->lock);
    add_work(workers, function, context);
    pthread_mutex_unlock(&workers->lock);
}

void workers_drain(struct workers *workers)
{
    pthread_mutex_lock(&workers->lock);
    while (workers->waiting > 0 || workers->running > 0)
        pthread_cond_wait(&workers->became_idle, &workers->lock);
    pthread_mutex_unlock(&workers->lock);
}

size_t workers_waiting(struct workers *workers)
{
    size_t waiting;

    pthread_mutex_lock(&workers->lock);
    waiting = workers->waiting;
    pthread_mutex_unlock(&workers->lock);
    return waiting;
}
