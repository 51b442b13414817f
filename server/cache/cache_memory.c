/* SPDX-License-Identifier: MIT */
#include "server/cache/cache_memory.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "server/cache/cache.h"

/* What the map and the allocator need for an item, roughly. */
#define ITEM_OVERHEAD 160

struct item {
    struct item *newer, *older;
    uint64_t ends_at_ms; /* 0: never */
    size_t key_size;
    size_t value_size;
    uint8_t bytes[]; /* key, value */
};

struct memory_cache {
    struct cache base;
    size_t bytes_max;
    uint64_t (*now_ms)(void);
    pthread_mutex_t lock; /* what follows */
    struct map items;
    struct item *newest, *oldest;
    struct cache_counts counts;
};

static struct memory_cache *lock(struct cache *cache)
{
    struct memory_cache *self = (struct memory_cache *)cache;

    pthread_mutex_lock(&self->lock);
    return self;
}

static void unlock(struct memory_cache *self)
{
    pthread_mutex_unlock(&self->lock);
}

static size_t item_cost(const struct item *item)
{
    return ITEM_OVERHEAD + 2 * item->key_size + item->value_size; /* the map has the key too */
}

static void unlink_item(struct memory_cache *self, struct item *item)
{
    if (item->newer != NULL)
        item->newer->older = item->older;
    else
        self->newest = item->older;
    if (item->older != NULL)
        item->older->newer = item->newer;
    else
        self->oldest = item->newer;
}

static void link_newest(struct memory_cache *self, struct item *item)
{
    item->newer = NULL;
    item->older = self->newest;
    if (self->newest != NULL)
        self->newest->newer = item;
    else
        self->oldest = item;
    self->newest = item;
}

static void drop(struct memory_cache *self, struct item *item)
{
    map_remove(&self->items, span_of(item->bytes, item->key_size));
    unlink_item(self, item);
    self->counts.items--;
    self->counts.bytes -= item_cost(item);
    memory_free(item);
}

static bool get_locked(struct memory_cache *self, struct span key, struct buf *out)
{
    struct item *item = map_get(&self->items, key);

    if (item == NULL)
        return false;
    if (item->ends_at_ms != 0 && self->now_ms() >= item->ends_at_ms) {
        drop(self, item);
        return false;
    }
    if (buf_reserve(out, item->value_size) == NULL)
        return false;
    buf_add(out, item->bytes + item->key_size, item->value_size);
    unlink_item(self, item);
    link_newest(self, item);
    return true;
}

static bool get(struct cache *cache, struct span key, struct buf *out)
{
    struct memory_cache *self = lock(cache);
    bool is_there = get_locked(self, key, out);

    if (is_there)
        self->counts.hits++;
    else
        self->counts.misses++;
    unlock(self);
    return is_there;
}

static struct item *item_new(struct span key, struct span value)
{
    struct item *item = memory_new(sizeof(*item) + key.size + value.size);

    if (item == NULL)
        return NULL;
    item->key_size = key.size;
    item->value_size = value.size;
    memcpy(item->bytes, key.bytes, key.size);
    if (value.size > 0)
        memcpy(item->bytes + key.size, value.bytes, value.size);
    return item;
}

static void put_locked(struct memory_cache *self, struct item *item)
{
    struct span key = span_of(item->bytes, item->key_size);

    while (self->oldest != NULL && self->counts.bytes + item_cost(item) > self->bytes_max) {
        drop(self, self->oldest);
        self->counts.evictions++;
    }
    if (map_set(&self->items, key, item, NULL) < 0) {
        memory_free(item);
        return;
    }
    link_newest(self, item);
    self->counts.items++;
    self->counts.bytes += item_cost(item);
}

static void remove_key(struct cache *cache, struct span key)
{
    struct memory_cache *self = lock(cache);
    struct item *item = map_get(&self->items, key);

    if (item != NULL)
        drop(self, item);
    unlock(self);
}

static void put(struct cache *cache, struct span key, struct span value, uint32_t ttl_ms)
{
    struct memory_cache *self = (struct memory_cache *)cache;
    struct item *item = NULL;

    remove_key(cache, key);
    if (value.size <= self->bytes_max / 8)
        item = item_new(key, value);
    if (item == NULL)
        return;
    if (item_cost(item) > self->bytes_max) {
        memory_free(item);
        return;
    }
    item->ends_at_ms = ttl_ms == 0 ? 0 : self->now_ms() + ttl_ms;
    lock(cache);
    if (map_has(&self->items, key))
        drop(self, map_get(&self->items, key)); /* another thread was here since */
    put_locked(self, item);
    unlock(self);
}

static void count(struct cache *cache, struct cache_counts *out)
{
    struct memory_cache *self = lock(cache);

    *out = self->counts;
    unlock(self);
}

static void free_cache(struct cache *cache)
{
    struct memory_cache *self = (struct memory_cache *)cache;

    while (self->oldest != NULL)
        drop(self, self->oldest);
    map_release(&self->items);
    pthread_mutex_destroy(&self->lock);
    memory_free(self);
}

static const struct cache_ops memory_ops = {
    .name = "memory",
    .get = get,
    .put = put,
    .remove = remove_key,
    .count = count,
    .free = free_cache,
};

int cache_memory_new(size_t bytes_max, uint64_t (*now_ms)(void), struct cache **out_cache,
                     struct error *err)
{
    struct memory_cache *self = memory_new(sizeof(*self));

    if (self == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    self->base.ops = &memory_ops;
    self->bytes_max = bytes_max;
    self->now_ms = now_ms == NULL ? clock_monotonic_ms : now_ms;
    pthread_mutex_init(&self->lock, NULL);
    self->items = map_init();
    *out_cache = &self->base;
    return 0;
}
