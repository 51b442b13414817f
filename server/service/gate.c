/* SPDX-License-Identifier: MIT */
#include "server/service/gate.h"

#include <errno.h>
#include <pthread.h>

#include "common/base/error.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "server/service/timed_wait.h"

struct gate {
    pthread_mutex_t lock;
    pthread_cond_t left;
    struct map working; /* names; the value of what is done behind is `behind` */
    unsigned working_max, waiting_max;
    unsigned waiting;
    unsigned behind; /* 0 or 1 */
};

int gate_new(struct gate **out_gate, unsigned working_max, unsigned waiting_max, struct error *err)
{
    struct gate *gate = memory_new(sizeof(*gate));

    if (gate == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    pthread_mutex_init(&gate->lock, NULL);
    timed_wait_init(&gate->left);
    gate->working = map_init();
    gate->working_max = working_max;
    gate->waiting_max = waiting_max;
    *out_gate = gate;
    return 0;
}

struct gate *gate_free(struct gate *gate)
{
    if (gate == NULL)
        return NULL;
    map_release(&gate->working);
    pthread_cond_destroy(&gate->left);
    pthread_mutex_destroy(&gate->lock);
    return memory_free(gate);
}

/* Until somebody leaves. False: the time is over. */
static bool wait_for_one(struct gate *gate, const struct timespec *deadline)
{
    int r;

    gate->waiting++;
    r = pthread_cond_timedwait(&gate->left, &gate->lock, deadline);
    gate->waiting--;
    return r != ETIMEDOUT;
}

static bool is_full(const struct gate *gate)
{
    return gate->working.count - gate->behind >= gate->working_max;
}

static enum gate_turn enter(struct gate *gate, struct span name, const struct timespec *deadline)
{
    bool is_shared = map_has(&gate->working, name);

    while (is_shared ? map_has(&gate->working, name) : is_full(gate)) {
        if (gate->waiting >= gate->waiting_max || !wait_for_one(gate, deadline))
            return GATE_FULL;
        /* One who waited for a turn finds that another has begun the same. */
        is_shared = is_shared || map_has(&gate->working, name);
    }
    if (is_shared)
        return GATE_DONE;
    return map_set(&gate->working, name, gate, NULL) == 0 ? GATE_MINE : GATE_FULL;
}

enum gate_turn gate_enter(struct gate *gate, struct span name, uint64_t wait_ms)
{
    const struct timespec deadline = timed_wait_deadline(wait_ms);
    enum gate_turn turn;

    pthread_mutex_lock(&gate->lock);
    turn = enter(gate, name, &deadline);
    pthread_mutex_unlock(&gate->lock);
    return turn;
}

bool gate_enter_behind(struct gate *gate, struct span name)
{
    bool is_mine;

    pthread_mutex_lock(&gate->lock);
    is_mine = gate->behind == 0 && !map_has(&gate->working, name) &&
              map_set(&gate->working, name, &gate->behind, NULL) == 0;
    gate->behind += is_mine;
    pthread_mutex_unlock(&gate->lock);
    return is_mine;
}

void gate_leave(struct gate *gate, struct span name)
{
    pthread_mutex_lock(&gate->lock);
    if (map_get(&gate->working, name) == &gate->behind)
        gate->behind--;
    map_remove(&gate->working, name);
    pthread_cond_broadcast(&gate->left);
    pthread_mutex_unlock(&gate->lock);
}
