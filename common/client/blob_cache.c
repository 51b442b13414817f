/* SPDX-License-Identifier: MIT */
#include "common/client/blob_cache.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/bytes.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/workers.h"
#include "common/client/blob_cache_private.h"
#include "common/client/cache_lock.h"

#define BEHIND_QUEUE 256
#define KEY_TEXT_SIZE (1 + DIGEST_SIZE + DIGEST_SIZE + 8)

static const char *const subdirectories[] = { "obj", "idx", "part", "mk" };

static void key_text(const struct blob_key *key, uint8_t out[KEY_TEXT_SIZE])
{
    out[0] = (uint8_t)key->kind;
    memcpy(out + 1, key->name.bytes, DIGEST_SIZE);
    memcpy(out + 1 + DIGEST_SIZE, key->verity.bytes, DIGEST_SIZE);
    bytes_set_u64(out + 1 + 2 * DIGEST_SIZE, key->size);
}

void blob_path_of(enum blob_kind kind, const struct digest *name, enum blob_path what,
                  char out[BLOB_PATH_SIZE])
{
    char hex[DIGEST_HEX_SIZE];
    const char *letter = kind == BLOB_TREE ? "t" : "";

    digest_hex(name, hex);
    switch (what) {
    case BLOB_PATH_COMPLETE:
        if (kind == BLOB_TREE)
            (void)snprintf(out, BLOB_PATH_SIZE, "idx/%s", hex);
        else
            (void)snprintf(out, BLOB_PATH_SIZE, "obj/%.2s/%s", hex, hex);
        break;
    case BLOB_PATH_PART:
        (void)snprintf(out, BLOB_PATH_SIZE, "part/%s%s", hex, letter);
        break;
    case BLOB_PATH_MAP:
        (void)snprintf(out, BLOB_PATH_SIZE, "part/%s%s.m", hex, letter);
        break;
    case BLOB_PATH_LEVELS:
        (void)snprintf(out, BLOB_PATH_SIZE, "mk/%.2s/%s%s", hex, hex, letter);
        break;
    }
}

void blob_path(const struct blob_entry *entry, enum blob_path what, char out[BLOB_PATH_SIZE])
{
    blob_path_of(entry->key.kind, &entry->key.name, what, out);
}

uint64_t cache_now_ms(const struct blob_cache *cache)
{
    return cache->options.now_ms();
}

/* Failures of the disk ---------------------------------------------------- */

void cache_failed(struct blob_cache *cache, int code, const char *what)
{
    struct error err;

    error_system(&err, -code, "%s", what);
    pthread_mutex_lock(&cache->lock);
    cache->degraded_until_ms = cache_now_ms(cache) + BLOB_DEGRADED_MS;
    memcpy(cache->last_error, err.text, sizeof(cache->last_error));
    pthread_mutex_unlock(&cache->lock);
}

bool cache_is_degraded(struct blob_cache *cache)
{
    bool degraded;

    if (cache->root == NULL)
        return true;
    pthread_mutex_lock(&cache->lock);
    degraded = cache_now_ms(cache) < cache->degraded_until_ms;
    pthread_mutex_unlock(&cache->lock);
    return degraded;
}

/* Open files -------------------------------------------------------------- */

static void file_unlink(struct blob_cache *cache, struct cache_file *file)
{
    if (file->newer != NULL)
        file->newer->older = file->older;
    else
        cache->file_newest = file->older;
    if (file->older != NULL)
        file->older->newer = file->newer;
    else
        cache->file_oldest = file->newer;
    file->newer = file->older = NULL;
}

static void file_push(struct blob_cache *cache, struct cache_file *file)
{
    file->newer = NULL;
    file->older = cache->file_newest;
    if (file->older != NULL)
        file->older->newer = file;
    else
        cache->file_oldest = file;
    cache->file_newest = file;
}

/* One user less; the last one closes (cache locked). */
static void file_drop_user(struct blob_cache *cache, struct cache_file *file)
{
    if (--file->users > 0)
        return;
    file_unlink(cache, file);
    cache->file_count--;
    cleanup_fd_at(&file->fd);
    memory_free(file);
}

static void file_let_go(struct blob_cache *cache, struct cache_file *file)
{
    file->entry->file = NULL;
    file->entry = NULL;
    file_drop_user(cache, file);
}

/* Closes what was used longest ago and is not in use now, down to the limit (cache locked). */
static void files_trim(struct blob_cache *cache)
{
    struct cache_file *file = cache->file_oldest;
    size_t limit = cache->options.descriptors;

    while (file != NULL && cache->file_count > limit) {
        struct cache_file *newer = file->newer;

        if (file->users == 1 && file->entry != NULL)
            file_let_go(cache, file);
        file = newer;
    }
}

void cache_file_give(struct blob_cache *cache, struct cache_file *file)
{
    pthread_mutex_lock(&cache->lock);
    file_drop_user(cache, file);
    files_trim(cache);
    pthread_mutex_unlock(&cache->lock);
}

bool cache_file_is(struct blob_entry *entry, const struct cache_file *file)
{
    bool same;

    pthread_mutex_lock(&entry->cache->lock);
    same = entry->file == file;
    pthread_mutex_unlock(&entry->cache->lock);
    return same;
}

void cache_file_forget_locked(struct blob_entry *entry)
{
    if (entry->file != NULL)
        file_let_go(entry->cache, entry->file);
}

void cache_file_forget(struct blob_entry *entry)
{
    pthread_mutex_lock(&entry->cache->lock);
    cache_file_forget_locked(entry);
    pthread_mutex_unlock(&entry->cache->lock);
}

/* Between opening a part and locking it another process may have completed or removed it. */
static bool is_still_there(struct blob_cache *cache, const char *path, int fd)
{
    struct file_info by_path, by_fd;

    return directory_info(cache->root, path, &by_path, NULL) == 0 &&
           file_info(fd, &by_fd, NULL) == 0 && by_path.inode == by_fd.inode &&
           by_path.device == by_fd.device;
}

/* Opens the part; *out_writable tells whether it is ours to write. */
static int open_part(struct blob_entry *entry, bool create, int *out_fd, bool *out_writable)
{
    struct directory *root = entry->cache->root;
    char path[BLOB_PATH_SIZE];

    blob_path(entry, BLOB_PATH_PART, path);
    for (int tries = 0; tries < 3; tries++) {
        cleanup_fd int fd = -1;
        int r = directory_open_write(root, path, &fd, NULL);

        if (r == -ENOENT && create) {
            r = directory_create(root, path, 0600, &fd, NULL);
            if (r == -EEXIST)
                continue;
        }
        /* A crash left it with the mode of what is complete. */
        if (r == -EACCES && directory_set_mode(root, path, 0600, NULL) == 0)
            r = directory_open_write(root, path, &fd, NULL);
        if (r == -EROFS || r == -EACCES)
            r = directory_open_read(root, path, &fd, NULL);
        else if (r == 0 && cache_lock_try(fd) == 0) {
            if (!is_still_there(entry->cache, path, fd))
                continue;
            *out_writable = true;
        }
        if (r < 0)
            return r;
        *out_fd = take_fd(&fd);
        return 0;
    }
    return -EBUSY;
}

static int open_complete(struct blob_entry *entry, int *out_fd)
{
    cleanup_fd int fd = -1;
    char path[BLOB_PATH_SIZE];
    struct file_info info;
    int r;

    blob_path(entry, BLOB_PATH_COMPLETE, path);
    r = directory_open_read(entry->cache->root, path, &fd, NULL);
    if (r == 0)
        r = file_info(fd, &info, NULL);
    if (r < 0)
        return r;
    if (info.kind != FILE_REGULAR || info.size != entry->key.size)
        return -ENOENT;
    if (entry->has_info && !file_info_unchanged(&entry->info, &info))
        piece_map_fill(&entry->verified, false);
    entry->info = info;
    entry->has_info = true;
    *out_fd = take_fd(&fd);
    return 0;
}

struct cache_file *cache_file_take(struct blob_entry *entry, bool for_writing)
{
    struct blob_cache *cache = entry->cache;
    struct cache_file *file;
    bool writable = false;
    int fd = -1, r;

    pthread_mutex_lock(&cache->lock);
    file = entry->file;
    if (file != NULL && (file->writable || !for_writing)) {
        file->users++;
        file_unlink(cache, file);
        file_push(cache, file);
        pthread_mutex_unlock(&cache->lock);
        return file;
    }
    pthread_mutex_unlock(&cache->lock);
    if (entry->place == PLACE_COMPLETE) {
        r = for_writing ? -EROFS : open_complete(entry, &fd);
    } else {
        r = open_part(entry, for_writing, &fd, &writable);
        if (r == 0) /* it was not ours in between */
            piece_map_fill(&entry->verified, false);
    }
    if (r < 0 && r != -ENOENT && r != -EBUSY)
        cache_failed(cache, r, "opening a file of the cache");
    if (r == 0 && for_writing && !writable)
        cleanup_fd_at(&fd);
    file = r < 0 || fd < 0 ? NULL : memory_new(sizeof(*file));
    if (file == NULL) {
        cleanup_fd_at(&fd);
        return NULL;
    }
    *file = (struct cache_file){ .entry = entry, .fd = fd, .users = 2, .writable = writable };
    pthread_mutex_lock(&cache->lock);
    if (entry->file != NULL)
        file_let_go(cache, entry->file);
    entry->file = file;
    cache->file_count++;
    file_push(cache, file);
    files_trim(cache);
    pthread_mutex_unlock(&cache->lock);
    return file;
}

/* Entries ----------------------------------------------------------------- */

static void entry_destroy(struct blob_entry *entry)
{
    if (entry == NULL)
        return;
    piece_map_release(&entry->present);
    piece_map_release(&entry->verified);
    memory_free(entry->levels);
    pthread_mutex_destroy(&entry->writing);
    pthread_mutex_destroy(&entry->lock);
    memory_free(entry);
}

static size_t entry_bytes(const struct blob_entry *entry)
{
    size_t levels = entry->levels != NULL ? (size_t)merkle_upper_range(&entry->shape).size : 0;

    return sizeof(*entry) + levels + 2 * piece_map_bytes(&entry->present);
}

static void idle_remove(struct blob_cache *cache, struct blob_entry *entry)
{
    if (entry->idle_newer != NULL)
        entry->idle_newer->idle_older = entry->idle_older;
    else
        cache->idle_newest = entry->idle_older;
    if (entry->idle_older != NULL)
        entry->idle_older->idle_newer = entry->idle_newer;
    else
        cache->idle_oldest = entry->idle_newer;
    entry->idle_newer = entry->idle_older = NULL;
    entry->is_idle = false;
    cache->idle_count--;
    cache->idle_bytes -= entry_bytes(entry);
}

static void idle_add(struct blob_cache *cache, struct blob_entry *entry)
{
    entry->idle_older = cache->idle_newest;
    if (entry->idle_older != NULL)
        entry->idle_older->idle_newer = entry;
    else
        cache->idle_oldest = entry;
    cache->idle_newest = entry;
    entry->is_idle = true;
    cache->idle_count++;
    cache->idle_bytes += entry_bytes(entry);
}

/* Out of every table, and freed (cache locked, no references). */
static void entry_remove(struct blob_cache *cache, struct blob_entry *entry)
{
    uint8_t text[KEY_TEXT_SIZE];

    if (entry->is_idle)
        idle_remove(cache, entry);
    if (entry->file != NULL)
        file_let_go(cache, entry->file);
    cache_slot_leave(cache, entry);
    key_text(&entry->key, text);
    map_remove(&cache->entries, span_of(text, sizeof(text)));
    entry_destroy(entry);
}

static struct blob_entry *entry_new(struct blob_cache *cache, const struct blob_key *key)
{
    struct blob_entry *entry = memory_new(sizeof(*entry));

    if (entry == NULL)
        return NULL;
    entry->cache = cache;
    entry->key = *key;
    entry->refs = 1;
    pthread_mutex_init(&entry->lock, NULL);
    pthread_mutex_init(&entry->writing, NULL);
    if (merkle_shape_of(key->size, &entry->shape, NULL) < 0 ||
        piece_map_init(&entry->present, entry->shape.piece_count) < 0 ||
        piece_map_init(&entry->verified, entry->shape.piece_count) < 0) {
        entry_destroy(entry);
        return NULL;
    }
    return entry;
}

void cache_entry_take_locked(struct blob_cache *cache, struct blob_entry *entry)
{
    if (entry->is_idle)
        idle_remove(cache, entry);
    entry->refs++;
}

int blob_cache_entry(struct blob_cache *cache, const struct blob_key *key,
                     struct blob_entry **out_entry, struct error *err)
{
    uint8_t text[KEY_TEXT_SIZE];
    struct blob_entry *entry;

    if (key->size > MERKLE_MAX_DATA)
        return error_set(err, -EFBIG, "an object larger than 2^53 - 1 bytes");
    key_text(key, text);
    pthread_mutex_lock(&cache->lock);
    entry = map_get(&cache->entries, span_of(text, sizeof(text)));
    if (entry != NULL) {
        cache_entry_take_locked(cache, entry);
    } else {
        entry = entry_new(cache, key);
        if (entry != NULL &&
            map_set(&cache->entries, span_of(text, sizeof(text)), entry, NULL) < 0) {
            entry_destroy(entry);
            entry = NULL;
        }
    }
    pthread_mutex_unlock(&cache->lock);
    if (entry == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    *out_entry = entry;
    return 0;
}

struct blob_entry *blob_entry_ref(struct blob_entry *entry)
{
    pthread_mutex_lock(&entry->cache->lock);
    entry->refs++;
    pthread_mutex_unlock(&entry->cache->lock);
    return entry;
}

struct blob_entry *blob_entry_unref(struct blob_entry *entry)
{
    struct blob_cache *cache;

    if (entry == NULL)
        return NULL;
    cache = entry->cache;
    if (entry->shape.piece_count > 1) {
        pthread_mutex_lock(&entry->lock);
        if (entry->dirty_bytes > 0 && !entry->job_queued)
            entry_queue_job(entry);
        pthread_mutex_unlock(&entry->lock);
    }
    pthread_mutex_lock(&cache->lock);
    if (--entry->refs == 0) {
        idle_add(cache, entry);
        while (cache->idle_count > BLOB_IDLE_ENTRIES || cache->idle_bytes > BLOB_IDLE_BYTES)
            entry_remove(cache, cache->idle_oldest);
    }
    pthread_mutex_unlock(&cache->lock);
    return NULL;
}

const struct blob_key *blob_entry_key(const struct blob_entry *entry)
{
    return &entry->key;
}

/* The cache --------------------------------------------------------------- */

static int open_root(struct blob_cache *cache, const char *path, struct error *err)
{
    struct file_info info;
    int r;

    r = file_make_directories(path, 0700, err);
    if (r == 0)
        r = directory_open(path, &cache->root, err);
    if (r == 0)
        r = directory_info(cache->root, "", &info, err);
    if (r < 0)
        return r;
    if (directory_fd(cache->root) >= 0 && (info.mode & 0022) != 0)
        return error_set(err, -EACCES, "cache %s: others may write to it (mode %04o)", path,
                         info.mode & 07777);
    for (size_t i = 0; i < sizeof(subdirectories) / sizeof(subdirectories[0]); i++) {
        r = directory_make_all(cache->root, subdirectories[i], 0700, NULL);
        if (r < 0) /* read-only or full: what is there can still be read */
            cache_failed(cache, r, path);
    }
    cache->path = memory_text(path);
    return cache->path == NULL ? error_set(err, -ENOMEM, "out of memory") : 0;
}

static void scan_job(void *context)
{
    cache_scan(context);
}

int blob_cache_open(const char *path, const struct blob_cache_options *options,
                    struct blob_cache **out_cache, struct error *err)
{
    struct blob_cache *cache = memory_new(sizeof(*cache));
    int r = 0;

    if (cache == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    cache->entries = map_init();
    cache->slot_places = map_init();
    pthread_mutex_init(&cache->lock, NULL);
    pthread_mutex_init(&cache->settling, NULL);
    pthread_cond_init(&cache->left, NULL);
    if (options != NULL)
        cache->options = *options;
    if (cache->options.descriptors == 0)
        cache->options.descriptors = BLOB_DESCRIPTORS;
    if (cache->options.now_ms == NULL)
        cache->options.now_ms = clock_monotonic_ms;
    if (path != NULL)
        r = open_root(cache, path, err);
    if (r == 0 && cache->root != NULL)
        r = workers_new(&cache->behind, 1, BEHIND_QUEUE, err);
    if (r < 0) {
        blob_cache_close(cache);
        return r;
    }
    if (cache->root != NULL &&
        (!cache->options.scan_behind || workers_try(cache->behind, scan_job, cache) < 0))
        cache_scan(cache);
    *out_cache = cache;
    return 0;
}

struct blob_cache *blob_cache_close(struct blob_cache *cache)
{
    if (cache == NULL)
        return NULL;
    if (cache->behind != NULL)
        blob_cache_flush(cache);
    cache->behind = workers_free(cache->behind);
    pthread_mutex_lock(&cache->lock);
    while (cache->idle_oldest != NULL)
        entry_remove(cache, cache->idle_oldest);
    pthread_mutex_unlock(&cache->lock);
    map_release(&cache->entries);
    map_release(&cache->slot_places);
    memory_free(cache->slots);
    cache->root = directory_close(cache->root);
    memory_free(cache->path);
    pthread_mutex_destroy(&cache->lock);
    pthread_mutex_destroy(&cache->settling);
    pthread_cond_destroy(&cache->left);
    return memory_free(cache);
}

/* The next entry with something not yet synced, referenced; NULL at the end. */
static struct blob_entry *next_entry(struct blob_cache *cache, size_t *at)
{
    struct span key;
    void *value = NULL;
    bool found;

    pthread_mutex_lock(&cache->lock);
    found = map_next(&cache->entries, at, &key, &value);
    if (found)
        cache_entry_take_locked(cache, value);
    pthread_mutex_unlock(&cache->lock);
    return found ? value : NULL;
}

void blob_cache_flush(struct blob_cache *cache)
{
    struct blob_entry *entry;
    size_t at = 0;

    if (cache->behind == NULL)
        return;
    workers_drain(cache->behind);
    while ((entry = next_entry(cache, &at)) != NULL) {
        entry_settle(entry);
        blob_entry_unref(entry);
    }
    workers_drain(cache->behind);
}

void blob_cache_stats(struct blob_cache *cache, struct blob_cache_stats *out)
{
    pthread_mutex_lock(&cache->lock);
    *out = (struct blob_cache_stats){
        .bytes = cache->bytes,
        .objects = cache->objects,
        .quota_bytes = cache->options.quota_bytes,
        .free_bytes = cache->options.free_bytes,
        .hit_bytes = atomic_load(&cache->hit_bytes),
        .damaged = atomic_load(&cache->damaged),
        .set_aside = atomic_load(&cache->set_aside),
        .refused = atomic_load(&cache->refused),
        .evicted = atomic_load(&cache->evicted),
        .degraded = cache->root == NULL || cache_now_ms(cache) < cache->degraded_until_ms,
    };
    memcpy(out->last_error, cache->last_error, sizeof(out->last_error));
    pthread_mutex_unlock(&cache->lock);
}
