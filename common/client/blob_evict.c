/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/client/blob_cache_private.h"
#include "common/client/cache_lock.h"

#define SLOT_KEY_SIZE (1 + DIGEST_SIZE)
#define FREE_LOOK_MS 1000
#define LEFTOVER_S 600
/* A table of which nothing may go: so long a one is not gone over for every piece. */
#define IN_VAIN_SLOTS 1024
#define IN_VAIN_MS 1000

static void slot_key(enum blob_kind kind, const struct digest *name, uint8_t out[SLOT_KEY_SIZE])
{
    out[0] = (uint8_t)kind;
    memcpy(out + 1, name->bytes, DIGEST_SIZE);
}

/* Index + 1, or 0 (cache locked, as all of these). */
static size_t slot_find(struct blob_cache *cache, enum blob_kind kind, const struct digest *name)
{
    uint8_t key[SLOT_KEY_SIZE];

    slot_key(kind, name, key);
    return (size_t)(uintptr_t)map_get(&cache->slot_places, span_of(key, sizeof(key)));
}

/* The line from what the hand comes to next to what it has just passed; places are index + 1. */
static void line_leave(struct blob_cache *cache, size_t place)
{
    struct cache_slot *slot = &cache->slots[place - 1];

    if (slot->before > 0)
        cache->slots[slot->before - 1].behind = slot->behind;
    else
        cache->line_first = slot->behind;
    if (slot->behind > 0)
        cache->slots[slot->behind - 1].before = slot->before;
    else
        cache->line_last = slot->before;
}

static void line_join(struct blob_cache *cache, size_t place)
{
    struct cache_slot *slot = &cache->slots[place - 1];

    slot->before = cache->line_last;
    slot->behind = 0;
    if (slot->before > 0)
        cache->slots[slot->before - 1].behind = place;
    else
        cache->line_first = place;
    cache->line_last = place;
}

/* The slot stands at another place of the table now. */
static void line_moved(struct blob_cache *cache, size_t place)
{
    struct cache_slot *slot = &cache->slots[place - 1];

    if (slot->before > 0)
        cache->slots[slot->before - 1].behind = place;
    else
        cache->line_first = place;
    if (slot->behind > 0)
        cache->slots[slot->behind - 1].before = place;
    else
        cache->line_last = place;
}

static void slot_drop(struct blob_cache *cache, size_t place)
{
    struct cache_slot *slot = &cache->slots[place - 1];
    struct cache_slot *last = &cache->slots[cache->slot_count - 1];
    uint8_t key[SLOT_KEY_SIZE];

    line_leave(cache, place);
    cache->bytes -= slot->bytes;
    cache->objects -= slot->complete;
    slot_key(slot->kind, &slot->name, key);
    map_remove(&cache->slot_places, span_of(key, sizeof(key)));
    if (slot != last) {
        *slot = *last;
        line_moved(cache, place);
        slot_key(slot->kind, &slot->name, key);
        map_set(&cache->slot_places, span_of(key, sizeof(key)), (void *)(uintptr_t)place, NULL);
    }
    cache->slot_count--;
}

/* 0: no memory; it is then not evicted, nothing worse. */
static size_t slot_add(struct blob_cache *cache, enum blob_kind kind, const struct digest *name)
{
    uint8_t key[SLOT_KEY_SIZE];

    if (cache->slot_count == cache->slot_capacity) {
        size_t capacity = cache->slot_capacity == 0 ? 64 : cache->slot_capacity * 2;
        struct cache_slot *slots = memory_resize(cache->slots, capacity, sizeof(*slots));

        if (slots == NULL)
            return 0;
        cache->slots = slots;
        cache->slot_capacity = capacity;
    }
    slot_key(kind, name, key);
    if (map_set(&cache->slot_places, span_of(key, sizeof(key)),
                (void *)(uintptr_t)(cache->slot_count + 1), NULL) < 0)
        return 0;
    cache->slots[cache->slot_count++] = (struct cache_slot){ .name = *name, .kind = (uint8_t)kind };
    line_join(cache, cache->slot_count);
    return cache->slot_count;
}

void cache_slot_set(struct blob_cache *cache, enum blob_kind kind, const struct digest *name,
                    bool complete, uint64_t bytes, struct blob_entry *entry)
{
    size_t place;

    pthread_mutex_lock(&cache->lock);
    place = slot_find(cache, kind, name);
    if (bytes == 0) {
        if (place > 0)
            slot_drop(cache, place);
    } else {
        if (place == 0)
            place = slot_add(cache, kind, name);
        if (place > 0) {
            struct cache_slot *slot = &cache->slots[place - 1];

            cache->bytes = cache->bytes - slot->bytes + bytes;
            cache->objects = cache->objects - slot->complete + complete;
            slot->bytes = bytes;
            slot->complete = complete;
            if (entry != NULL)
                slot->entry = entry;
        }
    }
    pthread_mutex_unlock(&cache->lock);
}

void cache_slot_leave(struct blob_cache *cache, struct blob_entry *entry)
{
    size_t place = slot_find(cache, entry->key.kind, &entry->key.name);

    if (place > 0 && cache->slots[place - 1].entry == entry)
        cache->slots[place - 1].entry = NULL;
}

void cache_slot_touch(struct blob_cache *cache, const struct blob_entry *entry)
{
    size_t place;

    if (cache->options.quota_bytes == 0 && cache->options.free_bytes == 0)
        return;
    pthread_mutex_lock(&cache->lock);
    place = slot_find(cache, entry->key.kind, &entry->key.name);
    if (place > 0)
        cache->slots[place - 1].referenced = true;
    pthread_mutex_unlock(&cache->lock);
}

/* What was there before this process ---------------------------------------- */

/* What was used since the cache was opened is known better. */
static void slot_found(struct blob_cache *cache, enum blob_kind kind, const struct digest *name,
                       bool complete, uint64_t bytes)
{
    bool is_known;

    pthread_mutex_lock(&cache->lock);
    is_known = slot_find(cache, kind, name) > 0;
    pthread_mutex_unlock(&cache->lock);
    if (!is_known)
        cache_slot_set(cache, kind, name, complete, bytes, NULL);
}

struct scan {
    struct blob_cache *cache;
    const char *folder;
    enum blob_kind kind;
};

static int scan_complete(void *context, const char *name, enum file_kind kind, struct error *err)
{
    struct scan *scan = context;
    char path[BLOB_PATH_SIZE];
    struct file_info info;
    struct digest digest;

    (void)snprintf(path, sizeof(path), "%.8s/%.70s", scan->folder, name);
    if (digest_parse(span_text(name), &digest, NULL) == 0 &&
        directory_info(scan->cache->root, path, &info, NULL) == 0 && info.kind == FILE_REGULAR)
        slot_found(scan->cache, scan->kind, &digest, true, info.size);
    return 0;
}

static int scan_folder(void *context, const char *name, enum file_kind kind, struct error *err)
{
    struct scan *scan = context;
    char folder[8];
    struct scan below = { scan->cache, folder, BLOB_CONTENT };

    if (strlen(name) == 2) {
        (void)snprintf(folder, sizeof(folder), "obj/%.2s", name);
        directory_list(scan->cache->root, folder, scan_complete, &below, NULL);
    }
    return 0;
}

/* Not one that another process fills. */
static void remove_part(struct blob_cache *cache, enum blob_kind kind, const struct digest *name)
{
    cleanup_fd int fd = -1;
    char path[BLOB_PATH_SIZE];

    blob_path_of(kind, name, BLOB_PATH_PART, path);
    if (directory_open_write(cache->root, path, &fd, NULL) == 0 && cache_lock_try(fd) < 0)
        return;
    directory_remove_file(cache->root, path, NULL);
    blob_path_of(kind, name, BLOB_PATH_MAP, path);
    directory_remove_file(cache->root, path, NULL);
}

/* 0: it is there; -ENOENT: it is not. */
static int look_for(struct blob_cache *cache, enum blob_kind kind, const struct digest *name,
                    enum blob_path what)
{
    char path[BLOB_PATH_SIZE];
    struct file_info info;

    blob_path_of(kind, name, what, path);
    return directory_info(cache->root, path, &info, NULL);
}

/* "<name>", or 't' behind it, or ".m" behind either. */
static bool part_name(const char *text, struct digest *out_name, enum blob_kind *out_kind,
                      bool *out_is_map)
{
    size_t size = strlen(text);

    *out_is_map = size > 2 && strcmp(text + size - 2, ".m") == 0;
    if (*out_is_map)
        size -= 2;
    *out_kind = size == DIGEST_HEX_SIZE ? BLOB_TREE : BLOB_CONTENT;
    return (size == DIGEST_HEX_SIZE - 1 || (size == DIGEST_HEX_SIZE && text[size - 1] == 't')) &&
           digest_parse(span_of(text, DIGEST_HEX_SIZE - 1), out_name, NULL) == 0;
}

/* Parts count by their file's size. What a crash has left goes: files of writers that died, maps
 * without a part, parts of what is complete. */
static int scan_part(void *context, const char *name, enum file_kind file_kind, struct error *err)
{
    struct scan *scan = context;
    struct blob_cache *cache = scan->cache;
    char path[BLOB_PATH_SIZE];
    struct file_info info;
    struct digest digest;
    enum blob_kind kind;
    bool is_map;

    if (strlen(name) + sizeof("part/") > sizeof(path))
        return 0;
    (void)snprintf(path, sizeof(path), "part/%.70s", name);
    if (directory_info(cache->root, path, &info, NULL) < 0)
        return 0;
    if (strncmp(name, "new.", 4) == 0) {
        if (clock_now_s() - info.mtime_s > LEFTOVER_S)
            directory_remove_file(cache->root, path, NULL);
    } else if (!part_name(name, &digest, &kind, &is_map)) {
        return 0; /* none of ours */
    } else if (is_map) {
        if (look_for(cache, kind, &digest, BLOB_PATH_PART) == -ENOENT)
            directory_remove_file(cache->root, path, NULL);
    } else if (look_for(cache, kind, &digest, BLOB_PATH_COMPLETE) == 0) {
        remove_part(cache, kind, &digest);
    } else {
        slot_found(cache, kind, &digest, false, info.size == 0 ? 1 : info.size);
    }
    return 0;
}

void cache_scan(struct blob_cache *cache)
{
    struct scan scan = { cache, "obj", BLOB_CONTENT };
    struct scan trees = { cache, "idx", BLOB_TREE };

    directory_list(cache->root, "part", scan_part, &scan, NULL);
    directory_list(cache->root, "obj", scan_folder, &scan, NULL);
    directory_list(cache->root, "idx", scan_complete, &trees, NULL);
}

/* Eviction ---------------------------------------------------------------- */

void cache_await_leaving(struct blob_cache *cache, const struct blob_key *key)
{
    const struct cache_leaving *leaving;

    pthread_mutex_lock(&cache->lock);
    do {
        leaving = cache->leaving;
        while (leaving != NULL &&
               (leaving->kind != key->kind || !digest_equal(&leaving->name, &key->name)))
            leaving = leaving->next;
        if (leaving != NULL)
            pthread_cond_wait(&cache->left, &cache->lock);
    } while (leaving != NULL);
    pthread_mutex_unlock(&cache->lock);
}

static void remove_victim(struct blob_cache *cache, const struct cache_slot *victim)
{
    char path[BLOB_PATH_SIZE];

    if (victim->complete) {
        blob_path_of(victim->kind, &victim->name, BLOB_PATH_COMPLETE, path);
        directory_remove_file(cache->root, path, NULL);
    } else {
        remove_part(cache, victim->kind, &victim->name);
    }
    blob_path_of(victim->kind, &victim->name, BLOB_PATH_LEVELS, path);
    directory_remove_file(cache->root, path, NULL);
    atomic_fetch_add(&cache->evicted, 1);
}

/* In use, or kept on purpose (cache locked). */
static bool may_not_go(struct blob_cache *cache, const struct cache_slot *slot)
{
    const struct blob_cache_keeper *keeper = cache->options.keeper;

    return (slot->entry != NULL && slot->entry->refs > 0) ||
           (keeper != NULL && keeper->keeps(keeper->context, &slot->name));
}

/*
 * The clock's hand over segments: what was read since it passed rises by one and stays; else it
 * sinks by one; what is in the lowest and was not read goes. So what was read in several rounds
 * outlives a flood of what is read once, or was only fetched ahead. What is new joins where the
 * hand has just passed: it has a whole round before it.
 */
static bool hand_spares(struct blob_cache *cache, struct cache_slot *slot)
{
    if (may_not_go(cache, slot))
        return true;
    if (slot->referenced) {
        slot->referenced = false;
        if (slot->segment < BLOB_SEGMENTS - 1)
            slot->segment++;
        return true;
    }
    if (slot->segment == 0)
        return false;
    slot->segment--;
    return true;
}

/* Idle: nobody holds its lock, and nobody gets it before we are done. */
static void forget_idle(struct blob_entry *entry)
{
    entry->is_loaded = false;
    entry->place = PLACE_NONE;
    entry->has_info = false;
    entry->dirty_bytes = 0;
    cache_file_forget_locked(entry);
    piece_map_fill(&entry->present, false);
    piece_map_fill(&entry->verified, false);
}

/* Its files go without the lock (cache locked, and unlocked while the disk works). */
static void evict(struct blob_cache *cache, const struct cache_slot *victim)
{
    struct cache_leaving leaving = { cache->leaving, (enum blob_kind)victim->kind, victim->name };
    struct cache_leaving **at = &cache->leaving;

    cache->leaving = &leaving;
    pthread_mutex_unlock(&cache->lock);
    remove_victim(cache, victim);
    pthread_mutex_lock(&cache->lock);
    while (*at != &leaving)
        at = &(*at)->next;
    *at = leaving.next;
    pthread_cond_broadcast(&cache->left);
}

static bool take_victim(struct blob_cache *cache, struct cache_slot *out)
{
    uint64_t now = cache_now_ms(cache);

    if (now < cache->in_vain_until_ms)
        return false;
    for (size_t steps = cache->slot_count * (BLOB_SEGMENTS + 1); steps > 0; steps--) {
        size_t place = cache->line_first;
        struct cache_slot *slot = &cache->slots[place - 1];

        if (hand_spares(cache, slot)) {
            line_leave(cache, place);
            line_join(cache, place);
            continue;
        }
        if (slot->entry != NULL)
            forget_idle(slot->entry);
        *out = *slot;
        slot_drop(cache, place);
        return true;
    }
    if (cache->slot_count > IN_VAIN_SLOTS)
        cache->in_vain_until_ms = now + IN_VAIN_MS;
    return false;
}

static bool is_full(struct blob_cache *cache, uint64_t bytes, bool down)
{
    uint64_t quota = cache->options.quota_bytes;

    if (down)
        quota = quota / 10 * 9;
    return cache->free_is_low ||
           (cache->options.quota_bytes > 0 && cache->bytes + cache->promised + bytes > quota);
}

static void look_at_free_space(struct blob_cache *cache)
{
    uint64_t now = cache_now_ms(cache), bytes;

    if (cache->options.free_bytes == 0 || now - cache->free_checked_ms < FREE_LOOK_MS)
        return;
    cache->free_checked_ms = now;
    if (file_free_space(cache->path, &bytes, NULL) == 0)
        cache->free_is_low = bytes < cache->options.free_bytes;
}

int cache_make_room(struct blob_cache *cache, uint64_t bytes)
{
    const struct blob_cache_keeper *keeper = cache->options.keeper;
    struct cache_slot victim;
    bool full, found = true;

    pthread_mutex_lock(&cache->lock);
    look_at_free_space(cache);
    full = is_full(cache, bytes, false);
    if (full && keeper != NULL && cache_now_ms(cache) >= cache->in_vain_until_ms) {
        pthread_mutex_unlock(&cache->lock);
        keeper->look(keeper->context);
        pthread_mutex_lock(&cache->lock);
    }
    while (full && found) {
        found = take_victim(cache, &victim);
        if (!found)
            break;
        evict(cache, &victim);
        if (cache->free_is_low) {
            cache->free_checked_ms = 0;
            look_at_free_space(cache);
        }
        full = is_full(cache, bytes, true);
    }
    full = is_full(cache, bytes, false);
    if (!full)
        cache->promised += bytes;
    pthread_mutex_unlock(&cache->lock);
    return full ? -ENOSPC : 0;
}

void cache_room_used(struct blob_cache *cache, uint64_t bytes)
{
    pthread_mutex_lock(&cache->lock);
    cache->promised -= bytes;
    pthread_mutex_unlock(&cache->lock);
}
