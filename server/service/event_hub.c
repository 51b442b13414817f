/* SPDX-License-Identifier: MIT */
#include "server/service/event_hub.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/events.h"
#include "server/service/context.h"
#include "server/service/event_hub_state.h"
#include "server/service/event_ring.h"
#include "server/service/event_sequence.h"

#define LISTENERS_DEFAULT 1400
#define BEAT_DEFAULT_MS 15000

#define RING_EVENTS 4096
#define RING_BYTES ((size_t)8 << 20)
/* How far back the ring begins: who comes back after a restart finds what was missed there. */
#define RING_BACK 1024
#define STEP_EVENTS 256

static void settle(struct event_hub_settings *settings)
{
    if (settings->listeners_max == 0)
        settings->listeners_max = LISTENERS_DEFAULT;
    if (settings->listeners_per_token_max == 0)
        settings->listeners_per_token_max = settings->listeners_max;
    if (settings->beat_ms == 0)
        settings->beat_ms = BEAT_DEFAULT_MS;
}

int event_hub_new(const struct event_hub_settings *settings, struct event_hub **out,
                  struct error *err)
{
    struct event_hub *hub = memory_new(sizeof(*hub));
    int r;

    if (hub == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    hub->settings = *settings;
    settle(&hub->settings);
    r = event_ring_init(&hub->ring, RING_EVENTS, RING_BYTES, err);
    if (r < 0) {
        memory_free(hub);
        return r;
    }
    pthread_mutex_init(&hub->step_lock, NULL);
    pthread_mutex_init(&hub->lock, NULL);
    *out = hub;
    return 0;
}

struct event_hub *event_hub_free(struct event_hub *hub)
{
    if (hub == NULL)
        return NULL;
    assert(hub->first == NULL);
    event_ring_release(&hub->ring);
    pthread_mutex_destroy(&hub->step_lock);
    pthread_mutex_destroy(&hub->lock);
    return memory_free(hub);
}

void event_hub_count(struct services *services, struct event_hub_counts *out)
{
    struct event_hub *hub = services->events;

    pthread_mutex_lock(&hub->lock);
    *out = hub->counts;
    pthread_mutex_unlock(&hub->lock);
}

/* The reader ------------------------------------------------------------- */

static int add_events(struct event_hub *hub, const struct event *events, size_t count,
                      struct error *err)
{
    const int64_t before = hub->ring.last;
    int r = 0;

    for (size_t i = 0; r == 0 && i < count; i++)
        r = event_ring_add(&hub->ring, &events[i], err);
    for (struct event_listener *at = hub->first; at != NULL; at = at->next)
        event_listener_tell(at, &hub->ring, before);
    return r;
}

/* Reads what is new. */
static int follow(struct services *services, size_t *out_count, struct error *err)
{
    struct event_hub *hub = services->events;
    struct event *events;
    size_t count;
    int r;

    do {
        r = event_list(services->database, hub->ring.last, STEP_EVENTS, &events, &count, err);
        if (r < 0)
            return r;
        pthread_mutex_lock(&hub->lock);
        r = add_events(hub, events, count, err);
        pthread_mutex_unlock(&hub->lock);
        event_list_free(events, count);
        *out_count += count;
    } while (r == 0 && count == STEP_EVENTS);
    return r;
}

static void restart(struct event_hub *hub, int64_t last)
{
    event_ring_restart(&hub->ring, last);
    for (struct event_listener *at = hub->first; at != NULL; at = at->next)
        event_listener_wake(at);
}

/* At the start, and when nobody has listened for long: not all that happened is read. */
static void start_ring(struct event_hub *hub, const struct event_bounds *bounds)
{
    pthread_mutex_lock(&hub->lock);
    if (!hub->started || hub->ring.last > bounds->last ||
        bounds->last - hub->ring.last > RING_EVENTS)
        restart(hub, bounds->last > RING_BACK ? bounds->last - RING_BACK : 0);
    if (hub->ring.floor < bounds->oldest - 1 && hub->ring.count == 0)
        restart(hub, bounds->oldest - 1);
    hub->started = true;
    pthread_mutex_unlock(&hub->lock);
}

static void beat(struct event_hub *hub)
{
    const uint64_t now_ms = clock_monotonic_ms();

    pthread_mutex_lock(&hub->lock);
    for (struct event_listener *at = hub->first; at != NULL; at = at->next) {
        if (at->beats || now_ms - at->told_ms < hub->settings.beat_ms)
            continue;
        at->beats = true;
        event_listener_wake(at);
    }
    pthread_mutex_unlock(&hub->lock);
}

/* Under the step's lock. */
static int step(struct services *services, struct event_bounds *bounds, size_t *out_count,
                struct error *err)
{
    size_t numbered;
    int r = event_bounds(services->database, bounds, err);

    if (r == 0 && bounds->waiting) {
        r = event_sequence_step(services, &numbered, err);
        if (r == 0)
            r = event_bounds(services->database, bounds, err);
    }
    if (r < 0)
        return r;
    start_ring(services->events, bounds);
    return bounds->last > services->events->ring.last ? follow(services, out_count, err) : 0;
}

int event_hub_follow(struct services *services, struct error *err)
{
    struct event_hub *hub = services->events;
    struct event_bounds bounds;
    size_t count = 0;
    int r;

    pthread_mutex_lock(&hub->step_lock);
    r = hub->started ? 0 : step(services, &bounds, &count, err);
    pthread_mutex_unlock(&hub->step_lock);
    return r;
}

int event_hub_step(struct services *services, size_t *out_count, struct error *err)
{
    struct event_hub *hub = services->events;
    struct event_bounds bounds;
    bool alone;
    int r;

    *out_count = 0;
    pthread_mutex_lock(&hub->lock);
    alone = hub->first == NULL;
    pthread_mutex_unlock(&hub->lock);
    if (alone)
        return 0;
    pthread_mutex_lock(&hub->step_lock);
    r = step(services, &bounds, out_count, err);
    pthread_mutex_unlock(&hub->step_lock);
    beat(hub);
    return r;
}
