/* SPDX-License-Identifier: MIT */
#include "server/service/event_listener.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/events.h"
#include "server/service/access.h"
#include "server/service/context.h"
#include "server/service/event_hub_state.h"
#include "server/service/event_ring.h"
#include "server/service/event_text.h"
#include "server/service/refusal.h"

#define LOAD_EVENTS 256
#define TAKE_BYTES ((size_t)32 << 10) /* of events at a turn, and one more */
#define PENDING_MAX ((size_t)8 << 20)

void event_listener_wake(struct event_listener *listener)
{
    if (listener->wake != NULL)
        listener->wake(listener->wake_context);
}

static bool takes_entry(const struct event_listener *listener, const struct event_entry *entry)
{
    return event_filter_takes(&listener->filter, entry->type, entry->project, entry->app);
}

/* What it does not want, but may know of, moves the number that it can come back with. */
static bool sees_entry(const struct event_listener *listener, const struct event_entry *entry)
{
    return event_filter_sees(&listener->filter, entry->type, entry->project, entry->app);
}

void event_listener_tell(struct event_listener *listener, const struct event_ring *ring,
                         int64_t before)
{
    int64_t seen = listener->seen;

    if (listener->position < before)
        return;
    for (size_t i = event_ring_behind(ring, listener->position); i < ring->count; i++) {
        const struct event_entry *entry = event_ring_at(ring, i);

        if (takes_entry(listener, entry)) {
            event_listener_wake(listener);
            return;
        }
        if (sees_entry(listener, entry))
            seen = entry->number;
    }
    if (listener->position < ring->last) {
        listener->position = ring->last;
        listener->seen = seen;
    }
}

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

/* How many a token may have now. */
static size_t share_of_token(const struct event_hub *hub)
{
    const size_t all = hub->settings.listeners_max, wanted = hub->settings.listeners_per_token_max;
    const size_t few = all >= 16 ? all / 16 : 1;

    return hub->counts.listeners < all - all / 4 || wanted < few ? wanted : few;
}

static int admit(const struct event_hub *hub, const struct event_listener *listener,
                 struct refusal *why, struct error *err)
{
    const size_t count = count_of_token(hub, listener->token);

    if (hub->counts.listeners >= hub->settings.listeners_max)
        return refusal_set(why, REFUSAL_NOT_READY,
                           error_set(err, -EAGAIN, "too many listen to events"));
    if (count >= share_of_token(hub))
        return refusal_set(
            why, REFUSAL_RATE_LIMITED,
            error_set(err, -EAGAIN, "the token listens to events %zu times already", count));
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

/* Where it begins, and the first line that says so. What this token was never told of is no number
 * to come back with, whatever others were told. */
static void begin(struct event_listener *listener, const struct event_view *view,
                  const int64_t *after)
{
    struct event_hub *hub = listener->services->events;
    const bool gone = after != NULL && (*after > view->seen_last || *after < view->forgotten);

    pthread_mutex_lock(&hub->lock);
    listener->position = after == NULL || gone ? view->last : *after;
    listener->seen = after == NULL || gone ? view->seen_last : *after;
    if (gone)
        event_text_write_gone(&listener->pending, *after, listener->seen);
    else
        event_text_write_beat(&listener->pending, listener->seen);
    listener->told_ms = clock_monotonic_ms();
    pthread_mutex_unlock(&hub->lock);
}

static bool sees(const void *context, const char *type, const char *project, const char *app)
{
    return event_filter_sees(context, type, project, app);
}

static bool takes(const void *context, const char *type, const char *project, const char *app)
{
    return event_filter_takes(context, type, project, app);
}

static struct event_part seen_part(const struct event_filter *filter)
{
    return (struct event_part){ filter->seen_project, filter->seen_app, sees, filter };
}

/* What is wanted lies in what is seen. */
static struct event_part wanted_part(const struct event_filter *filter)
{
    return (struct event_part){ filter->project[0] != '\0' ? filter->project : filter->seen_project,
                                filter->app[0] != '\0' ? filter->app : filter->seen_app, takes,
                                filter };
}

/* The first who listens has the ring follow the table, so that all who come with it find it. */
static int look(struct event_listener *listener, struct event_view *out, struct error *err)
{
    const struct event_part seen = seen_part(&listener->filter);
    const struct event_part wanted = wanted_part(&listener->filter);
    int r = event_hub_follow(listener->services, err);

    return r < 0 ? r : event_view(listener->services->database, &seen, &wanted, out, err);
}

int event_listener_open(struct services *services, const struct event_wish *wish,
                        struct event_listener **out, struct refusal *why, struct error *err)
{
    struct event_listener *listener = memory_new(sizeof(*listener));
    struct event_view view;
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
    r = look(listener, &view, err);
    if (r < 0) {
        event_listener_close(listener);
        return r;
    }
    begin(listener, &view, wish->after);
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
        if (sees_entry(listener, entry))
            listener->seen = entry->number;
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
        event_text_write_beat(&listener->pending, listener->seen);
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
    int64_t position, seen;
    uint64_t sent;
};

/* True: all of them, not only as many as are sent at a turn. */
static bool load_events(const struct event_listener *listener, const struct event *events,
                        size_t count, struct loading *loading)
{
    const struct event_filter *filter = &listener->filter;

    for (size_t i = 0; i < count; i++) {
        const struct event *event = &events[i];

        if (loading->text.size >= TAKE_BYTES)
            return false;
        loading->position = event->number;
        if (event_filter_sees(filter, event->type, event->project, event->app))
            loading->seen = event->number;
        if (!event_filter_takes(filter, event->type, event->project, event->app))
            continue;
        event_text_write(&loading->text, event);
        loading->sent++;
    }
    return true;
}

/* What is behind it in the table, of the place that it wants. The table has all that the ring had,
 * up to `floor`. */
static int load(struct event_listener *listener, int64_t floor, struct loading *loading,
                struct error *err)
{
    const struct event_part wanted = wanted_part(&listener->filter);
    struct event *events;
    int64_t forgotten;
    size_t count;
    int r = event_list_of(listener->services->database, &wanted, loading->position, LOAD_EVENTS,
                          &events, &count, &forgotten, err);

    if (r < 0)
        return r;
    if (forgotten > loading->position) {
        event_text_write_gone(&loading->text, loading->seen, forgotten);
        loading->position = forgotten;
        loading->seen = forgotten;
    }
    if (load_events(listener, events, count, loading) && count < LOAD_EVENTS &&
        loading->position < floor)
        loading->position = floor;
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
    loading.seen = listener->seen;
    floor = hub->ring.floor;
    pthread_mutex_unlock(&hub->lock);
    r = load(listener, floor, &loading, err);
    if (r == 0) {
        pthread_mutex_lock(&hub->lock);
        listener->position = loading.position;
        listener->seen = loading.seen;
        buf_add_span(&listener->pending, buf_span(&loading.text));
        hub->counts.sent += loading.sent;
        r = buf_check(&listener->pending, err);
        pthread_mutex_unlock(&hub->lock);
    }
    buf_release(&loading.text);
    return r;
}
