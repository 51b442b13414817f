/* SPDX-License-Identifier: MIT */
#include "server/cache/cache.h"

#include "common/base/buf.h"

struct cache *cache_free(struct cache *cache)
{
    if (cache != NULL)
        cache->ops->free(cache);
    return NULL;
}

static bool is_key(struct span key)
{
    return key.size > 0 && key.size <= CACHE_KEY_MAX;
}

bool cache_get(struct cache *cache, struct span key, struct buf *out)
{
    return is_key(key) && cache->ops->get(cache, key, out);
}

void cache_put(struct cache *cache, struct span key, struct span value, uint32_t ttl_ms)
{
    if (is_key(key))
        cache->ops->put(cache, key, value, ttl_ms);
}

void cache_remove(struct cache *cache, struct span key)
{
    if (is_key(key))
        cache->ops->remove(cache, key);
}

void cache_count(struct cache *cache, struct cache_counts *out)
{
    *out = (struct cache_counts){ 0 };
    cache->ops->count(cache, out);
}
