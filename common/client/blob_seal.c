/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/workers.h"
#include "common/client/blob_cache_private.h"

#define HASH_SIZE (256 * 1024)

static void run_job(void *context)
{
    struct blob_entry *entry = context;

    entry_settle(entry);
    blob_entry_unref(entry);
}

void entry_queue_job(struct blob_entry *entry)
{
    struct blob_cache *cache = entry->cache;

    if (cache->behind == NULL)
        return;
    blob_entry_ref(entry);
    entry->job_queued = true;
    if (workers_try(cache->behind, run_job, entry) == 0)
        return;
    entry->job_queued = false; /* a later piece asks again, or the bits are lost: they are a hint */
    pthread_mutex_lock(&cache->lock);
    entry->refs--; /* the caller has another one */
    pthread_mutex_unlock(&cache->lock);
}

/* The whole file against its SHA-256. One that is too short is no failure of the disk: its map told
 * of what was lost. */
static int check_name(struct blob_entry *entry, int fd)
{
    cleanup_memory uint8_t *bytes = memory_resize(NULL, HASH_SIZE, 1);
    struct digest_stream stream;
    struct digest digest;
    struct file_info info;
    uint64_t at = 0;
    int r = file_info(fd, &info, NULL);

    if (r < 0)
        return r;
    if (info.size < entry->key.size)
        return -EBADMSG;
    if (entry->key.kind == BLOB_TREE)
        return 0;
    if (bytes == NULL)
        return -ENOMEM;
    digest_stream_init(&stream);
    while (at < entry->key.size) {
        size_t got = 0;

        r = file_read_at(fd, at, bytes, HASH_SIZE, &got, NULL);
        if (r < 0)
            return r;
        if (got == 0)
            return -EBADMSG;
        digest_stream_add(&stream, bytes, got);
        at += got;
    }
    digest = digest_stream_end(&stream);
    return at == entry->key.size && digest_equal(&digest, &entry->key.name) ? 0 : -EBADMSG;
}

static int move_to_complete(struct blob_entry *entry)
{
    struct directory *root = entry->cache->root;
    char part[BLOB_PATH_SIZE], complete[BLOB_PATH_SIZE], map[BLOB_PATH_SIZE], folder[8];
    int r;

    blob_path(entry, BLOB_PATH_PART, part);
    blob_path(entry, BLOB_PATH_COMPLETE, complete);
    blob_path(entry, BLOB_PATH_MAP, map);
    r = directory_set_mode(root, part, 0444, NULL);
    if (r < 0)
        return r;
    r = directory_rename(root, part, root, complete, NULL);
    if (r == -ENOENT) {
        (void)snprintf(folder, sizeof(folder), "%.6s", complete);
        r = directory_make_all(root, folder, 0700, NULL);
        if (r == 0)
            r = directory_rename(root, part, root, complete, NULL);
    }
    if (r < 0)
        return r;
    directory_remove_file(root, map, NULL);
    entry->place = PLACE_COMPLETE;
    entry->has_info = directory_info(root, complete, &entry->info, NULL) == 0;
    cache_slot_set(entry->cache, entry->key.kind, &entry->key.name, true, entry->key.size, entry);
    return 0;
}

/* The pieces that do not fit the verity digest, as they are on disk; how many, or < 0: nothing can
 * be said. */
static int find_wrong_pieces(struct blob_entry *entry, int fd, struct piece_map *out_wrong)
{
    cleanup_memory uint8_t *bytes = memory_resize(NULL, BLOB_PIECE_SIZE, 1);
    int count = 0;

    if (bytes == NULL)
        return -ENOMEM;
    for (uint64_t piece = 0; piece < out_wrong->count; piece++) {
        size_t size = (size_t)blob_piece_size(entry->key.size, piece), got = 0;
        int r = file_read_at(fd, piece * BLOB_PIECE_SIZE, bytes, size, &got, NULL);

        if (r == 0)
            r = got == size ? blob_entry_verify(entry, piece, bytes, size, NULL) : -EBADMSG;
        if (r == -EBADMSG) {
            piece_map_add(out_wrong, piece);
            count++;
        } else if (r < 0) {
            return r;
        }
    }
    return count;
}

/* The whole is not what its name says. Pieces that were believed and are wrong go, the others stay.
 * When each fits the verity digest, either the right bytes came while the whole was hashed, and it
 * is asked again; or whoever paired the two digests was wrong, and the object must not get that
 * name (entry locked, and unlocked while the disk works). */
static void drop_wrong(struct blob_entry *entry, struct cache_file *file)
{
    struct piece_map wrong;
    int count, name = -EBADMSG;

    if (piece_map_init(&wrong, entry->present.count) < 0) {
        entry_drop_all(entry);
        return;
    }
    piece_map_fill(&entry->verified, false); /* what gets a bit from here on came since */
    pthread_mutex_unlock(&entry->lock);
    count = find_wrong_pieces(entry, file->fd, &wrong);
    if (count == 0)
        name = check_name(entry, file->fd);
    pthread_mutex_lock(&entry->lock);
    if (!cache_file_is(entry, file)) {
        /* dropped in between */
    } else if (name == 0) {
        if (!entry->job_queued)
            entry_queue_job(entry);
    } else if (count <= 0) {
        atomic_fetch_add(&entry->cache->damaged, 1);
        entry->not_to_be_kept = count == 0 && name == -EBADMSG;
        entry_drop_all(entry);
    } else {
        for (uint64_t piece = 0; piece < wrong.count; piece++) {
            if (piece_map_has(&wrong, piece) && !piece_map_has(&entry->verified, piece))
                entry_drop_piece(entry, piece);
        }
    }
    piece_map_release(&wrong);
}

/* Every piece is there (entry locked, and unlocked while the disk works). */
static void seal(struct blob_entry *entry, struct cache_file *file)
{
    int r;

    pthread_mutex_unlock(&entry->lock);
    r = check_name(entry, file->fd);
    if (r == 0)
        r = file_sync(file->fd, NULL);
    pthread_mutex_lock(&entry->lock);
    if (r == -EBADMSG && cache_file_is(entry, file)) {
        drop_wrong(entry, file);
        return;
    }
    if (!cache_file_is(entry, file)) /* dropped in between; what came since asks for itself */
        return;
    /* Not tried again by itself: a failure would come back for ever. */
    entry->dirty_bytes = 0;
    if (r == 0)
        r = move_to_complete(entry);
    if (r == -ENOENT) { /* another process removed the part */
        entry_forget(entry);
        entry->is_loaded = false;
    } else if (r < 0) {
        cache_failed(entry->cache, r, "completing an object of the cache");
    }
}

/* Data, then the bits of what was there before the data was synced. */
static void sync_part(struct blob_entry *entry, struct cache_file *file)
{
    struct piece_map copy;
    char path[BLOB_PATH_SIZE];
    uint64_t generation = entry->generation++;
    int r;

    entry->dirty_bytes = 0;
    entry->synced_ms = cache_now_ms(entry->cache);
    if (piece_map_init(&copy, entry->present.count) < 0)
        return;
    for (uint64_t piece = 0; piece < copy.count; piece++) {
        if (piece_map_has(&entry->present, piece))
            piece_map_add(&copy, piece);
    }
    pthread_mutex_unlock(&entry->lock);
    r = file_sync_data(file->fd, NULL);
    blob_path(entry, BLOB_PATH_MAP, path);
    if (r == 0)
        r = piece_map_save(entry->cache->root, path, entry->key.size, &entry->key.verity, &copy,
                           generation, NULL);
    if (r < 0)
        cache_failed(entry->cache, r, "syncing the cache");
    piece_map_release(&copy);
    pthread_mutex_lock(&entry->lock);
}

void entry_settle(struct blob_entry *entry)
{
    struct cache_file *file;

    pthread_mutex_lock(&entry->cache->settling);
    pthread_mutex_lock(&entry->lock);
    entry->job_queued = false;
    if (entry->place == PLACE_PART && entry->dirty_bytes > 0) {
        file = cache_file_take(entry, true);
        if (file == NULL) {
            entry->dirty_bytes = 0; /* another process has it now */
        } else {
            if (entry->present.set == entry->present.count)
                seal(entry, file);
            else
                sync_part(entry, file);
            cache_file_give(entry->cache, file);
        }
    }
    pthread_mutex_unlock(&entry->lock);
    pthread_mutex_unlock(&entry->cache->settling);
}
