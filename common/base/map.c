/* SPDX-License-Identifier: MIT */
#include "common/base/map.h"

#include <errno.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/memory.h"
#include "common/base/random.h"

/* key NULL: never used; key REMOVED: used once, so that probing goes on over it. */
struct map_entry {
    uint8_t *key;
    size_t key_size;
    uint64_t hash;
    void *value;
};

static uint8_t removed_mark;
#define REMOVED (&removed_mark)
#define FIRST_CAPACITY 16

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

uint64_t map_hash(const uint64_t key[2], struct span bytes)
{
    uint64_t v[4] = { key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
                      key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573 };
    uint64_t last = (uint64_t)bytes.size << 56;
    size_t whole = bytes.size & ~(size_t)7;

    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word = bytes_u64(bytes.bytes + i);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    for (size_t i = whole; i < bytes.size; i++)
        last |= (uint64_t)bytes.bytes[i] << (8 * (i - whole));
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct map map_init(void)
{
    return (struct map){ 0 };
}

static bool is_live(const struct map_entry *entry)
{
    return entry->key != NULL && entry->key != REMOVED;
}

void map_release(struct map *map)
{
    for (size_t i = 0; i < map->capacity; i++) {
        if (is_live(&map->entries[i]))
            memory_free(map->entries[i].key);
    }
    memory_free(map->entries);
    *map = map_init();
}

static struct map_entry *find(const struct map *map, struct span key, uint64_t hash)
{
    size_t at;

    if (map->capacity == 0)
        return NULL;
    for (at = hash & (map->capacity - 1);; at = (at + 1) & (map->capacity - 1)) {
        struct map_entry *entry = &map->entries[at];
        if (entry->key == NULL)
            return NULL;
        if (entry->key != REMOVED && entry->hash == hash &&
            span_equal(span_of(entry->key, entry->key_size), key))
            return entry;
    }
}

static struct map_entry *find_free(struct map_entry *entries, size_t capacity, uint64_t hash)
{
    size_t at = hash & (capacity - 1);

    while (is_live(&entries[at]))
        at = (at + 1) & (capacity - 1);
    return &entries[at];
}

/* Room for one more, at most 3/4 full with the removed ones counted. */
static int grow(struct map *map)
{
    struct map_entry *entries;
    size_t capacity = FIRST_CAPACITY;

    if ((map->used + 1) * 4 <= map->capacity * 3)
        return 0;
    if (map->capacity == 0) {
        int r = random_bytes(map->hash_key, sizeof(map->hash_key), NULL);
        if (r < 0)
            return r;
    }
    while ((map->count + 1) * 2 > capacity)
        capacity *= 2;
    entries = memory_array(capacity, sizeof(*entries));
    if (entries == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < map->capacity; i++) {
        if (is_live(&map->entries[i]))
            *find_free(entries, capacity, map->entries[i].hash) = map->entries[i];
    }
    memory_free(map->entries);
    map->entries = entries;
    map->capacity = capacity;
    map->used = map->count;
    return 0;
}

void *map_get(const struct map *map, struct span key)
{
    struct map_entry *entry = find(map, key, map_hash(map->hash_key, key));

    return entry == NULL ? NULL : entry->value;
}

bool map_has(const struct map *map, struct span key)
{
    return find(map, key, map_hash(map->hash_key, key)) != NULL;
}

int map_set(struct map *map, struct span key, void *value, void **out_old)
{
    struct map_entry *entry = find(map, key, map_hash(map->hash_key, key));
    void *old = NULL;

    if (entry != NULL) {
        old = entry->value;
        entry->value = value;
    } else {
        uint8_t *copy;
        uint64_t hash;
        int r = grow(map);
        if (r < 0)
            return r;
        copy = memory_copy(key.bytes, key.size);
        if (copy == NULL)
            return -ENOMEM;
        hash = map_hash(map->hash_key, key);
        entry = find_free(map->entries, map->capacity, hash);
        if (entry->key == NULL)
            map->used++;
        *entry = (struct map_entry){ copy, key.size, hash, value };
        map->count++;
    }
    if (out_old != NULL)
        *out_old = old;
    return 0;
}

void *map_remove(struct map *map, struct span key)
{
    struct map_entry *entry = find(map, key, map_hash(map->hash_key, key));
    void *value;

    if (entry == NULL)
        return NULL;
    value = entry->value;
    memory_free(entry->key);
    *entry = (struct map_entry){ .key = REMOVED };
    map->count--;
    return value;
}

bool map_next(const struct map *map, size_t *at, struct span *out_key, void **out_value)
{
    while (*at < map->capacity) {
        const struct map_entry *entry = &map->entries[(*at)++];
        if (is_live(entry)) {
            *out_key = span_of(entry->key, entry->key_size);
            *out_value = entry->value;
            return true;
        }
    }
    return false;
}
