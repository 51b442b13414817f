/* SPDX-License-Identifier: MIT */
#include "server/service/event_ring.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/service/event_text.h"

int event_ring_init(struct event_ring *ring, size_t capacity, size_t bytes_max, struct error *err)
{
    *ring = (struct event_ring){ .capacity = capacity, .bytes_max = bytes_max };
    ring->entries = memory_array(capacity, sizeof(*ring->entries));
    return ring->entries != NULL ? 0 : error_set(err, -ENOMEM, "out of memory");
}

static void drop_oldest(struct event_ring *ring)
{
    struct event_entry *entry = &ring->entries[ring->first];

    ring->floor = entry->number;
    ring->bytes -= entry->text_size;
    entry->text = memory_free(entry->text);
    ring->first = (ring->first + 1) % ring->capacity;
    ring->count--;
}

void event_ring_restart(struct event_ring *ring, int64_t last)
{
    while (ring->count > 0)
        drop_oldest(ring);
    ring->floor = last;
    ring->last = last;
}

void event_ring_release(struct event_ring *ring)
{
    event_ring_restart(ring, 0);
    ring->entries = memory_free(ring->entries);
}

int event_ring_add(struct event_ring *ring, const struct event *event, struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(EVENT_TEXT_MAX);
    struct event_entry entry = { .number = event->number };
    int r;

    event_text_write(&text, event);
    r = buf_check(&text, err);
    if (r < 0)
        return r;
    entry.text_size = text.size;
    entry.text = memory_copy(text.bytes, text.size); /* with a NUL behind */
    if (entry.text == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    memcpy(entry.type, event->type, sizeof(entry.type));
    memcpy(entry.project, event->project, sizeof(entry.project));
    memcpy(entry.app, event->app, sizeof(entry.app));
    while (ring->count > 0 &&
           (ring->count == ring->capacity || ring->bytes + entry.text_size > ring->bytes_max))
        drop_oldest(ring);
    ring->entries[(ring->first + ring->count++) % ring->capacity] = entry;
    ring->bytes += entry.text_size;
    ring->last = event->number;
    return 0;
}

const struct event_entry *event_ring_at(const struct event_ring *ring, size_t i)
{
    return &ring->entries[(ring->first + i) % ring->capacity];
}

size_t event_ring_behind(const struct event_ring *ring, int64_t number)
{
    size_t low = 0, high = ring->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (event_ring_at(ring, middle)->number <= number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
