/* SPDX-License-Identifier: MIT */
#include "server/service/busy.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

#include "common/base/error.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "server/service/timed_wait.h"

/* Who is at it. */
struct holder {
    uint64_t to; /* the end of its part; 0: nobody waits for it */
    bool is_awaited;
};

struct busy {
    pthread_mutex_t lock;
    pthread_cond_t given;
    struct map holders; /* name -> struct holder * */
    unsigned waiting, waiting_max;
    uint64_t wait_ms;
    bool is_stopped;
};

int busy_new(unsigned waiting_max, uint64_t wait_ms, struct busy **out_busy, struct error *err)
{
    struct busy *busy = memory_new(sizeof(*busy));

    if (busy == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    pthread_mutex_init(&busy->lock, NULL);
    timed_wait_init(&busy->given);
    busy->holders = map_init();
    busy->waiting_max = waiting_max;
    busy->wait_ms = wait_ms;
    *out_busy = busy;
    return 0;
}

struct busy *busy_free(struct busy *busy)
{
    if (busy == NULL)
        return NULL;
    map_release(&busy->holders);
    pthread_cond_destroy(&busy->given);
    pthread_mutex_destroy(&busy->lock);
    return memory_free(busy);
}

static int refuse(struct error *err)
{
    return error_set(err, -EBUSY, "another request is at work on this");
}

/* Locked: until the name is free. False: it is not, and is not waited for any more. */
static bool wait_for(struct busy *busy, struct span name, struct holder *holder)
{
    const struct timespec deadline = timed_wait_deadline(busy->wait_ms);
    int r = 0;

    holder->is_awaited = true;
    busy->waiting++;
    while (r == 0 && !busy->is_stopped && map_get(&busy->holders, name) == holder)
        r = pthread_cond_timedwait(&busy->given, &busy->lock, &deadline);
    busy->waiting--;
    if (map_get(&busy->holders, name) == holder)
        holder->is_awaited = false;
    return !map_has(&busy->holders, name);
}

static int take(struct busy *busy, struct span name, uint64_t from, struct holder *own,
                struct error *err)
{
    struct holder *holder = map_get(&busy->holders, name);
    bool may_wait = holder != NULL && from > 0 && holder->to == from && !holder->is_awaited &&
                    busy->waiting < busy->waiting_max && !busy->is_stopped;

    if (holder != NULL && !(may_wait && wait_for(busy, name, holder)))
        return refuse(err);
    if (map_set(&busy->holders, name, own, NULL) < 0)
        return error_set(err, -ENOMEM, "out of memory");
    return 0;
}

int busy_take_part(struct busy *busy, struct span name, uint64_t from, uint64_t to,
                   struct error *err)
{
    struct holder *own = memory_new(sizeof(*own));
    int r;

    if (own == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    own->to = to;
    pthread_mutex_lock(&busy->lock);
    r = take(busy, name, from, own, err);
    pthread_mutex_unlock(&busy->lock);
    if (r < 0)
        memory_free(own);
    return r;
}

int busy_take(struct busy *busy, struct span name, struct error *err)
{
    return busy_take_part(busy, name, 0, 0, err);
}

void busy_give(struct busy *busy, struct span name)
{
    pthread_mutex_lock(&busy->lock);
    memory_free(map_remove(&busy->holders, name));
    if (busy->waiting > 0)
        pthread_cond_broadcast(&busy->given);
    pthread_mutex_unlock(&busy->lock);
}

unsigned busy_waiting(struct busy *busy)
{
    unsigned waiting;

    pthread_mutex_lock(&busy->lock);
    waiting = busy->waiting;
    pthread_mutex_unlock(&busy->lock);
    return waiting;
}

void busy_stop(struct busy *busy)
{
    pthread_mutex_lock(&busy->lock);
    busy->is_stopped = true;
    pthread_cond_broadcast(&busy->given);
    pthread_mutex_unlock(&busy->lock);
}
