/* SPDX-License-Identifier: MIT */
#include "server/service/event_hub.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/events.h"
#include "server/service/access.h"
#include "server/service/context.h"
#include "server/service/event_ring.h"
#include "server/service/event_sequence.h"
#include "server/service/event_text.h"
#include "server/service/refusal.h"

#define LISTENERS_DEFAULT 1000
#define LISTENERS_PER_TOKEN_DEFAULT 500
#define BEAT_DEFAULT_MS 15000

#define RING_EVENTS 4096
#define RING_BYTES ((size_t)8 << 20)
/* How far back the ring begins: who comes back after a restart finds what was missed there. */
#define RING_BACK 1024
#define STEP_EVENTS 256
#define LOAD_EVENTS 256

#define TAKE_BYTES ((size_t)32 << 10) /* of events at a turn, and one more */
#define PENDING_MAX ((size_t)8 << 20)

struct event_listener {
    struct services *services;
    struct event_filter filter;
    char token[IDENTITY_ID_SIZE];
    struct event_listener *previous, *next; /* from here on under the hub's lock */
    void (*wake)(void *context);
    void *wake_context;
    int64_t position;   /* everything up to here is told, or was not for it */
    struct buf pending; /* on its way */
    uint64_t told_ms;   /* when something was */
    bool beats;         /* it is time for a sign of life */
};

struct event_hub {
    struct event_hub_settings settings;
    pthread_mutex_t step_lock; /* one reader; before the other lock */
    pthread_mutex_t lock;
    struct event_ring ring;
    bool started; /* the ring follows the table */
    struct event_listener *first;
    struct event_hub_counts counts;
};

int event_hub_new(const struct event_hub_settings *settings, struct event_hub **out,
                  struct error *err)
{
    struct event_hub *hub = memory_new(sizeof(*hub));
    int r;

    if (hub == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    hub->settings = *settings;
    if (hub->settings.listeners_max == 0)
        hub->settings.listeners_max = LISTENERS_DEFAULT;
    if (hub->settings.listeners_per_token_max == 0)
        hub->settings.listeners_per_token_max = LISTENERS_PER_TOKEN_DEFAULT;
    if (hub->settings.beat_ms == 0)
        hub->settings.beat_ms = BEAT_DEFAULT_MS;
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

static bool takes_entry(const struct event_listener *listener, const struct event_entry *entry)
{
    return event_filter_takes(&listener->filter, entry->type, entry->project, entry->app);
}

static void wake(struct event_listener *listener)
{
    if (listener->wake != NULL)
        listener->wake(listener->wake_context);
}

/* Of a listener that had come to `before`: it is woken for what it wants of the ring, or comes
 * along. One that is further behind goes on by itself. */
static void tell(const struct event_ring *ring, struct event_listener *listener, int64_t before)
{
    if (listener->position < before)
        return;
    for (size_t i = event_ring_behind(ring, listener->position); i < ring->count; i++) {
        if (takes_entry(listener, event_ring_at(ring, i))) {
            wake(listener);
            return;
        }
    }
    if (listener->position < ring->last)
        listener->position = ring->last;
}

static int add_events(struct event_hub *hub, const struct event *events, size_t count,
                      struct error *err)
{
    const int64_t before = hub->ring.last;
    int r = 0;

    for (size_t i = 0; r == 0 && i < count; i++)
        r = event_ring_add(&hub->ring, &events[i], err);
    for (struct event_listener *at = hub->first; at != NULL; at = at->next)
        tell(&hub->ring, at, before);
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
        wake(at);
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
        wake(at);
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

/* One who listens --------------------------------------------------------- */

static void listener_free(struct event_listener *listener)
{
    event_filter_release(&listener->filter);
    buf_release(&listener->pending);
    memory_free(listener);
}

static size_t count_of_token(const struct event_hub *hub, const char *token)
{
    size_t count = 0;

    for (const struct event_listener *at = hub->first; at != NULL; at = at->next)
        count += strcmp(at->token, token) == 0;
    return count;
}

static int admit(const struct event_hub *hub, const struct event_listener *listener,
                 struct refusal *why, struct error *err)
{
    if (hub->counts.listeners >= hub->settings.listeners_max)
        return refusal_set(why, REFUSAL_NOT_READY,
                           error_set(err, -EAGAIN, "too many listen to events"));
    if (count_of_token(hub, listener->token) >= hub->settings.listeners_per_token_max)
        return refusal_set(why, REFUSAL_RATE_LIMITED,
                           error_set(err, -EAGAIN, "the token listens to events %zu times already",
                                     hub->settings.listeners_per_token_max));
    return 0;
}

/* In the list, before the table is looked at: what is numbered from here on wakes it. */
static int join(struct event_listener *listener, struct refusal *why, struct error *err)
{
    struct event_hub *hub = listener->services->events;
    int r;

    pthread_mutex_lock(&hub->lock);
    r = admit(hub, listener, why, err);
    if (r == 0) {
        listener->next = hub->first;
        if (listener->next != NULL)
            listener->next->previous = listener;
        hub->first = listener;
        hub->counts.listeners++;
    }
    pthread_mutex_unlock(&hub->lock);
    return r;
}

struct event_listener *event_listener_close(struct event_listener *listener)
{
    struct event_hub *hub;

    if (listener == NULL)
        return NULL;
    hub = listener->services->events;
    pthread_mutex_lock(&hub->lock);
    if (listener->previous != NULL)
        listener->previous->next = listener->next;
    else
        hub->first = listener->next;
    if (listener->next != NULL)
        listener->next->previous = listener->previous;
    hub->counts.listeners--;
    pthread_mutex_unlock(&hub->lock);
    listener_free(listener);
    return NULL;
}

/* Where it begins, and the first line that says so. */
static void begin(struct event_listener *listener, const struct event_bounds *bounds,
                  const int64_t *after)
{
    struct event_hub *hub = listener->services->events;
    const int64_t wanted = after != NULL ? *after : bounds->last;
    const bool gone = wanted > bounds->last || wanted < bounds->oldest - 1;

    pthread_mutex_lock(&hub->lock);
    listener->position = gone ? bounds->last : wanted;
    if (gone)
        event_text_write_gone(&listener->pending, wanted, listener->position);
    else
        event_text_write_beat(&listener->pending, listener->position);
    listener->told_ms = clock_monotonic_ms();
    pthread_mutex_unlock(&hub->lock);
}

/* The first who listens has the ring follow the table, so that all who come with it find it. */
static int look(struct services *services, struct event_bounds *out, struct error *err)
{
    struct event_hub *hub = services->events;
    size_t count = 0;
    int r;

    pthread_mutex_lock(&hub->step_lock);
    r = hub->started ? event_bounds(services->database, out, err)
                     : step(services, out, &count, err);
    pthread_mutex_unlock(&hub->step_lock);
    return r;
}

int event_listener_open(struct services *services, const struct event_wish *wish,
                        struct event_listener **out, struct refusal *why, struct error *err)
{
    struct event_listener *listener = memory_new(sizeof(*listener));
    struct event_bounds bounds;
    int r;

    if (listener == NULL) {
        event_filter_release(wish->filter);
        return error_set(err, -ENOMEM, "out of memory");
    }
    listener->services = services;
    listener->filter = *wish->filter;
    *wish->filter = (struct event_filter){ 0 };
    listener->pending = buf_init(PENDING_MAX);
    listener->told_ms = clock_monotonic_ms();
    listener->position = INT64_MAX; /* nothing is for it yet */
    memcpy(listener->token, wish->identity->id, sizeof(listener->token));
    r = join(listener, why, err);
    if (r < 0) {
        listener_free(listener);
        return r;
    }
    r = look(services, &bounds, err);
    if (r < 0) {
        event_listener_close(listener);
        return r;
    }
    begin(listener, &bounds, wish->after);
    *out = listener;
    return 0;
}

void event_listener_on_wake(struct event_listener *listener, void (*function)(void *context),
                            void *context)
{
    struct event_hub *hub = listener->services->events;

    pthread_mutex_lock(&hub->lock);
    listener->wake = function;
    listener->wake_context = context;
    pthread_mutex_unlock(&hub->lock);
}

/* What the ring has for it. */
static void gather(struct event_hub *hub, struct event_listener *listener)
{
    const struct event_ring *ring = &hub->ring;

    for (size_t i = event_ring_behind(ring, listener->position);
         i < ring->count && listener->pending.size < TAKE_BYTES; i++) {
        const struct event_entry *entry = event_ring_at(ring, i);

        listener->position = entry->number;
        if (!takes_entry(listener, entry))
            continue;
        buf_add(&listener->pending, entry->text, entry->text_size);
        hub->counts.sent++;
    }
}

/* Under the lock. */
static enum event_turn next_turn(struct event_hub *hub, struct event_listener *listener)
{
    if (listener->pending.size > 0)
        return EVENT_TURN_BYTES;
    if (listener->position < hub->ring.floor)
        return EVENT_TURN_LOAD;
    gather(hub, listener);
    if (listener->pending.size == 0 && listener->beats)
        event_text_write_beat(&listener->pending, listener->position);
    if (buf_check(&listener->pending, NULL) < 0)
        return EVENT_TURN_END;
    return listener->pending.size > 0 ? EVENT_TURN_BYTES : EVENT_TURN_WAIT;
}

static void take_bytes(struct event_listener *listener, void *out, size_t size, size_t *out_size)
{
    struct buf *pending = &listener->pending;
    const size_t part = pending->size < size ? pending->size : size;

    memcpy(out, pending->bytes, part);
    if (part == pending->size)
        buf_release(pending); /* one that waits holds nothing */
    else
        buf_drop_front(pending, part);
    listener->beats = false;
    listener->told_ms = clock_monotonic_ms();
    *out_size = part;
}

enum event_turn event_listener_take(struct event_listener *listener, void *out, size_t size,
                                    size_t *out_size)
{
    struct event_hub *hub = listener->services->events;
    enum event_turn turn;

    pthread_mutex_lock(&hub->lock);
    turn = next_turn(hub, listener);
    if (turn == EVENT_TURN_BYTES)
        take_bytes(listener, out, size, out_size);
    pthread_mutex_unlock(&hub->lock);
    return turn;
}

struct loading {
    struct buf text;
    int64_t position;
    uint64_t sent;
};

static void load_events(const struct event_listener *listener, const struct event *events,
                        size_t count, struct loading *loading)
{
    for (size_t i = 0; i < count && loading->text.size < TAKE_BYTES; i++) {
        const struct event *event = &events[i];

        loading->position = event->number;
        if (!event_filter_takes(&listener->filter, event->type, event->project, event->app))
            continue;
        event_text_write(&loading->text, event);
        loading->sent++;
    }
}

/* What is behind it in the table. When the next one is not there, nor will be: it was not kept. */
static int load(struct event_listener *listener, int64_t floor, struct loading *loading,
                struct error *err)
{
    const int64_t after = loading->position;
    struct event *events;
    size_t count;
    int r = event_list(listener->services->database, after, LOAD_EVENTS, &events, &count, err);

    if (r < 0)
        return r;
    if (count == 0)
        loading->position = floor;
    else if (events[0].number > after + 1)
        loading->position = events[0].number - 1;
    if (loading->position != after)
        event_text_write_gone(&loading->text, after, loading->position);
    load_events(listener, events, count, loading);
    event_list_free(events, count);
    return buf_check(&loading->text, err);
}

int event_listener_load(struct event_listener *listener, struct error *err)
{
    struct event_hub *hub = listener->services->events;
    struct loading loading = { .text = buf_init(PENDING_MAX) };
    int64_t floor;
    int r;

    pthread_mutex_lock(&hub->lock);
    loading.position = listener->position;
    floor = hub->ring.floor;
    pthread_mutex_unlock(&hub->lock);
    r = load(listener, floor, &loading, err);
    if (r == 0) {
        pthread_mutex_lock(&hub->lock);
        listener->position = loading.position;
        buf_add_span(&listener->pending, buf_span(&loading.text));
        hub->counts.sent += loading.sent;
        r = buf_check(&listener->pending, err);
        pthread_mutex_unlock(&hub->lock);
    }
    buf_release(&loading.text);
    return r;
}
