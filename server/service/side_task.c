/* SPDX-License-Identifier: MIT */
#include "server/service/side_task.h"

#include "common/base/platform.h"
#include "common/base/workers.h"

#define THREADS_MAX 4

int side_task_workers_new(struct workers **out, struct error *err)
{
    const size_t processors = platform_cpu_count();
    size_t threads = processors > THREADS_MAX ? THREADS_MAX : processors;

    if (processors <= 1) {
        *out = NULL;
        return 0;
    }
    /* As many may wait as work: whoever comes then is quicker alone. */
    return workers_new(out, threads, threads, err);
}

void side_task_init(struct side_task *task, struct workers *workers)
{
    *task = (struct side_task){ .workers = workers, .done = true };
    pthread_mutex_init(&task->lock, NULL);
    pthread_cond_init(&task->ended, NULL);
}

void side_task_release(struct side_task *task)
{
    pthread_cond_destroy(&task->ended);
    pthread_mutex_destroy(&task->lock);
}

/* The lock is held while it is signalled: once it is free the waiter may release the task. */
static void run(void *context)
{
    struct side_task *task = context;

    task->result = task->function(task->context, &task->error);
    pthread_mutex_lock(&task->lock);
    task->done = true;
    pthread_cond_signal(&task->ended);
    pthread_mutex_unlock(&task->lock);
}

void side_task_start(struct side_task *task, side_task_function *function, void *context)
{
    task->function = function;
    task->context = context;
    task->done = false;
    if (task->workers == NULL || workers_try(task->workers, run, task) < 0)
        run(task);
}

int side_task_wait(struct side_task *task, struct error *err)
{
    int r;

    pthread_mutex_lock(&task->lock);
    while (!task->done)
        pthread_cond_wait(&task->ended, &task->lock);
    pthread_mutex_unlock(&task->lock);
    r = task->result;
    task->result = 0;
    if (r < 0 && err != NULL)
        *err = task->error;
    return r;
}
