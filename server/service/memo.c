/* SPDX-License-Identifier: MIT */
#include "server/service/memo.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/map.h"
#include "common/base/memory.h"

struct slot {
    uint8_t *key; /* NULL: free */
    size_t key_size;
    bool recent;
};

struct memo {
    pthread_mutex_t lock;
    struct map slots; /* key -> struct slot */
    struct slot *ring;
    uint8_t *values; /* limit * value_size */
    size_t value_size;
    size_t limit;
    size_t hand;
    void (*take)(void *value);
    void (*drop)(void *value);
};

CLEANUP_DEFINE(memo, memo_free);

int memo_new(struct memo **out_memo, size_t value_size, size_t limit, void (*take)(void *value),
             void (*drop)(void *value), struct error *err)
{
    cleanup(cleanup_memo) struct memo *memo = memory_new(sizeof(*memo));

    if (memo == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    if (value_size > MEMO_VALUE_MAX)
        abort();
    pthread_mutex_init(&memo->lock, NULL);
    memo->slots = map_init();
    memo->value_size = value_size;
    memo->limit = limit > 0 ? limit : 1;
    memo->take = take;
    memo->drop = drop;
    memo->ring = memory_array(memo->limit, sizeof(*memo->ring));
    memo->values = memory_array(memo->limit, value_size);
    if (memo->ring == NULL || memo->values == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    *out_memo = take_pointer(&memo);
    return 0;
}

static uint8_t *value_of(struct memo *memo, const struct slot *slot)
{
    return memo->values + (size_t)(slot - memo->ring) * memo->value_size;
}

/* Empties a slot; a value that holds references is moved to *leaving for the caller to drop. */
static void slot_empty(struct memo *memo, struct slot *slot, uint8_t *leaving)
{
    map_remove(&memo->slots, span_of(slot->key, slot->key_size));
    memory_free(slot->key);
    slot->key = NULL;
    slot->recent = false;
    memcpy(leaving, value_of(memo, slot), memo->value_size);
}

struct memo *memo_free(struct memo *memo)
{
    if (memo == NULL)
        return NULL;
    if (memo->ring != NULL && memo->values != NULL)
        memo_clear(memo);
    map_release(&memo->slots);
    memory_free(memo->ring);
    memory_free(memo->values);
    pthread_mutex_destroy(&memo->lock);
    return memory_free(memo);
}

bool memo_get(struct memo *memo, struct span key, void *out_value)
{
    struct slot *slot;

    pthread_mutex_lock(&memo->lock);
    slot = map_get(&memo->slots, key);
    if (slot != NULL) {
        slot->recent = true;
        memcpy(out_value, value_of(memo, slot), memo->value_size);
        if (memo->take != NULL)
            memo->take(out_value);
    }
    pthread_mutex_unlock(&memo->lock);
    return slot != NULL;
}

/* A slot that is free, or was not asked for lately: its value goes to *leaving and *out_left is
 * set. The first turn takes every mark away, so the second finds one. */
static struct slot *slot_find(struct memo *memo, uint8_t *leaving, bool *out_left)
{
    for (;;) {
        struct slot *slot = &memo->ring[memo->hand];

        memo->hand = (memo->hand + 1) % memo->limit;
        if (slot->key == NULL)
            return slot;
        if (!slot->recent) {
            slot_empty(memo, slot, leaving);
            *out_left = true;
            return slot;
        }
        slot->recent = false;
    }
}

/* A slot of the key's own, its old value moved to *leaving; NULL without memory. */
static struct slot *slot_take(struct memo *memo, struct span key, uint8_t *leaving, bool *out_left)
{
    struct slot *slot = map_get(&memo->slots, key);

    if (slot != NULL) {
        memcpy(leaving, value_of(memo, slot), memo->value_size);
        *out_left = true;
        return slot;
    }
    slot = slot_find(memo, leaving, out_left);
    slot->key = memory_copy(key.bytes, key.size);
    if (slot->key == NULL)
        return NULL;
    slot->key_size = key.size;
    if (map_set(&memo->slots, key, slot, NULL) < 0) {
        slot->key = memory_free(slot->key);
        return NULL;
    }
    return slot;
}

void memo_put(struct memo *memo, struct span key, const void *value)
{
    _Alignas(max_align_t) uint8_t leaving[MEMO_VALUE_MAX];
    bool left = false;
    struct slot *slot;

    pthread_mutex_lock(&memo->lock);
    slot = slot_take(memo, key, leaving, &left);
    if (slot != NULL)
        memcpy(value_of(memo, slot), value, memo->value_size);
    pthread_mutex_unlock(&memo->lock);
    if (memo->drop != NULL && left)
        memo->drop(leaving);
    if (memo->drop != NULL && slot == NULL) {
        memcpy(leaving, value, memo->value_size);
        memo->drop(leaving);
    }
}

void memo_forget(struct memo *memo, struct span key)
{
    _Alignas(max_align_t) uint8_t leaving[MEMO_VALUE_MAX];
    struct slot *slot;

    pthread_mutex_lock(&memo->lock);
    slot = map_get(&memo->slots, key);
    if (slot != NULL)
        slot_empty(memo, slot, leaving);
    pthread_mutex_unlock(&memo->lock);
    if (slot != NULL && memo->drop != NULL)
        memo->drop(leaving);
}

void memo_clear(struct memo *memo)
{
    pthread_mutex_lock(&memo->lock);
    for (size_t i = 0; i < memo->limit; i++) {
        struct slot *slot = &memo->ring[i];

        if (slot->key == NULL)
            continue;
        map_remove(&memo->slots, span_of(slot->key, slot->key_size));
        slot->key = memory_free(slot->key);
        slot->recent = false;
        if (memo->drop != NULL)
            memo->drop(value_of(memo, slot));
    }
    pthread_mutex_unlock(&memo->lock);
}

size_t memo_count(struct memo *memo)
{
    size_t count;

    pthread_mutex_lock(&memo->lock);
    count = memo->slots.count;
    pthread_mutex_unlock(&memo->lock);
    return count;
}
