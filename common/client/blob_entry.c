/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/random.h"
#include "common/client/blob_cache_private.h"

#define LOOK_AGAIN_MS 1000

/* A piece is written in steps: for one large write the kernel takes large folios, for which it has
 * to find (and a virtual machine's host to give) new memory each time; smaller ones cost a tenth
 * less processor for a whole cold read. */
#define WRITE_STEP ((size_t)64 * 1024)

uint64_t blob_piece_count(uint64_t object_size)
{
    return object_size / BLOB_PIECE_SIZE + (object_size % BLOB_PIECE_SIZE != 0);
}

uint64_t blob_piece_size(uint64_t object_size, uint64_t piece)
{
    uint64_t offset = piece * BLOB_PIECE_SIZE;

    if (offset >= object_size)
        return 0;
    return object_size - offset < BLOB_PIECE_SIZE ? object_size - offset : BLOB_PIECE_SIZE;
}

/* What is on disk --------------------------------------------------------- */

void entry_forget(struct blob_entry *entry)
{
    piece_map_fill(&entry->present, false);
    piece_map_fill(&entry->verified, false);
    entry->place = PLACE_NONE;
    entry->dirty_bytes = 0;
    entry->has_info = false;
    cache_file_forget(entry);
}

void entry_drop_all(struct blob_entry *entry)
{
    struct directory *root = entry->cache->root;
    char path[BLOB_PATH_SIZE];

    if (root != NULL) {
        blob_path(entry, BLOB_PATH_COMPLETE, path);
        directory_remove_file(root, path, NULL);
        blob_path(entry, BLOB_PATH_PART, path);
        directory_remove_file(root, path, NULL);
        blob_path(entry, BLOB_PATH_MAP, path);
        directory_remove_file(root, path, NULL);
    }
    entry_forget(entry);
    cache_slot_set(entry->cache, entry->key.kind, &entry->key.name, false, 0, NULL);
}

/* A complete file with a damaged piece becomes a part again, so that the rest is kept. */
static void entry_demote(struct blob_entry *entry)
{
    struct directory *root = entry->cache->root;
    char complete[BLOB_PATH_SIZE], part[BLOB_PATH_SIZE], map[BLOB_PATH_SIZE];

    blob_path(entry, BLOB_PATH_COMPLETE, complete);
    blob_path(entry, BLOB_PATH_PART, part);
    blob_path(entry, BLOB_PATH_MAP, map);
    cache_file_forget(entry);
    piece_map_fill(&entry->verified, false);
    entry->has_info = false;
    if (directory_rename_new(root, complete, root, part, NULL) < 0 ||
        directory_set_mode(root, part, 0600, NULL) < 0) {
        entry_drop_all(entry);
        return;
    }
    entry->place = PLACE_PART;
    piece_map_save(root, map, entry->key.size, &entry->key.verity, &entry->present,
                   entry->generation++, NULL);
}

void entry_drop_piece(struct blob_entry *entry, uint64_t piece)
{
    if (!piece_map_has(&entry->present, piece))
        return;
    atomic_fetch_add(&entry->cache->damaged, 1);
    piece_map_remove(&entry->verified, piece);
    piece_map_remove(&entry->present, piece);
    if (entry->place != PLACE_COMPLETE)
        entry->dirty_bytes += 1; /* so that the map is written again; others may write just now */
    else if (entry->present.set == 0)
        entry_drop_all(entry);
    else
        entry_demote(entry);
}

/* A map without its part tells of nothing; believed, it would keep what it tells of from being put
 * again. */
static void load_part(struct blob_entry *entry)
{
    struct directory *root = entry->cache->root;
    char part[BLOB_PATH_SIZE], map[BLOB_PATH_SIZE];
    struct file_info info;

    blob_path(entry, BLOB_PATH_PART, part);
    blob_path(entry, BLOB_PATH_MAP, map);
    if (piece_map_load(root, map, entry->key.size, &entry->key.verity, &entry->present,
                       &entry->generation, NULL) < 0)
        return;
    if (directory_info(root, part, &info, NULL) == -ENOENT) {
        piece_map_fill(&entry->present, false);
        directory_remove_file(root, map, NULL);
    } else if (entry->present.set > 0) {
        entry->place = PLACE_PART;
        cache_slot_set(entry->cache, entry->key.kind, &entry->key.name, false,
                       entry->present.set * BLOB_PIECE_SIZE, entry);
    }
}

void entry_load(struct blob_entry *entry)
{
    struct blob_cache *cache = entry->cache;
    char path[BLOB_PATH_SIZE];
    struct file_info info;

    if (entry->is_loaded)
        return;
    entry->is_loaded = true;
    entry->looked_ms = cache_now_ms(cache);
    if (cache->root == NULL || entry->place != PLACE_NONE)
        return;
    cache_await_leaving(cache, &entry->key);
    blob_path(entry, BLOB_PATH_COMPLETE, path);
    if (directory_info(cache->root, path, &info, NULL) == 0) {
        if (info.kind == FILE_REGULAR && info.size == entry->key.size) {
            entry->place = PLACE_COMPLETE;
            piece_map_fill(&entry->present, true);
            cache_slot_set(cache, entry->key.kind, &entry->key.name, true, info.size, entry);
            return;
        }
        atomic_fetch_add(&cache->damaged, 1);
        directory_remove_file(cache->root, path, NULL);
    }
    if (entry->shape.piece_count > 1)
        load_part(entry);
}

/* Reading ----------------------------------------------------------------- */

static int read_exactly(int fd, uint64_t offset, void *out, size_t size)
{
    size_t got = 0;
    int r = file_read_at(fd, offset, out, size, &got, NULL);

    return r < 0 ? r : got == size ? 0 : -EIO;
}

/* A piece that was not checked yet: read whole, hashed, then the wanted part of it. */
static int read_first(struct blob_entry *entry, struct cache_file *file, uint64_t piece,
                      size_t offset, void *out, size_t size)
{
    size_t whole = (size_t)blob_piece_size(entry->key.size, piece);
    cleanup_memory uint8_t *room = NULL;
    uint8_t *bytes = out;
    int r;

    if (size != whole) {
        room = bytes = memory_resize(NULL, whole, 1);
        if (room == NULL)
            return -EAGAIN;
    }
    r = read_exactly(file->fd, piece * BLOB_PIECE_SIZE, bytes, whole);
    if (r == 0)
        r = blob_entry_verify(entry, piece, bytes, whole, NULL);
    if (r == -EAGAIN) /* no levels: nothing can be said about it yet */
        return r;
    pthread_mutex_lock(&entry->lock);
    if (r < 0)
        entry_drop_piece(entry, piece);
    else if (cache_file_is(entry, file))
        piece_map_add(&entry->verified, piece);
    pthread_mutex_unlock(&entry->lock);
    if (r < 0)
        return -EAGAIN;
    if (room != NULL)
        memcpy(out, room + offset, size);
    return 0;
}

/* Whether all pieces of the range are said to be here; looks at the disk again now and then,
 * since another process may have brought them. */
static bool has_pieces(struct blob_entry *entry, uint64_t first, uint64_t last)
{
    for (int tries = 0; tries < 2; tries++) {
        uint64_t piece = first;

        entry_load(entry);
        while (piece <= last && piece_map_has(&entry->present, piece))
            piece++;
        if (piece > last)
            return true;
        if (entry->place != PLACE_NONE ||
            cache_now_ms(entry->cache) - entry->looked_ms < LOOK_AGAIN_MS)
            return false;
        entry->is_loaded = false;
    }
    return false;
}

/* Who writes to a complete file, or sets it aside, changes its times: all of it is to be checked
 * again. What a disk loses by itself changes none (entry locked). */
static void doubt_changed(struct blob_entry *entry, const struct cache_file *file)
{
    struct file_info now;

    if (entry->place != PLACE_COMPLETE || !entry->has_info || file_info(file->fd, &now, NULL) < 0 ||
        file_info_unchanged(&entry->info, &now))
        return;
    piece_map_fill(&entry->verified, false);
    entry->info = now;
}

int blob_entry_read(struct blob_entry *entry, uint64_t offset, void *out, size_t size)
{
    struct cache_file *file;
    uint8_t *at = out;
    uint64_t first, last, end = offset + size;
    int r = 0;

    if (size == 0)
        return 0;
    first = offset / BLOB_PIECE_SIZE;
    last = (end - 1) / BLOB_PIECE_SIZE;
    pthread_mutex_lock(&entry->lock);
    file = has_pieces(entry, first, last) ? cache_file_take(entry, false) : NULL;
    if (file == NULL) {
        if (entry->place != PLACE_NONE && cache_file_is(entry, NULL) &&
            piece_map_has(&entry->present, first) && !cache_is_degraded(entry->cache)) {
            entry_forget(entry); /* its file is gone */
            entry->is_loaded = false;
        }
        pthread_mutex_unlock(&entry->lock);
        return -EAGAIN;
    }
    doubt_changed(entry, file);
    pthread_mutex_unlock(&entry->lock);
    for (uint64_t piece = first; piece <= last && r == 0; piece++) {
        uint64_t begin = piece * BLOB_PIECE_SIZE;
        uint64_t from = offset > begin ? offset - begin : 0;
        uint64_t to = end - begin < BLOB_PIECE_SIZE ? end - begin : BLOB_PIECE_SIZE;
        bool verified;

        pthread_mutex_lock(&entry->lock);
        verified = piece_map_has(&entry->verified, piece);
        pthread_mutex_unlock(&entry->lock);
        if (!verified) {
            r = read_first(entry, file, piece, (size_t)from, at, (size_t)(to - from));
        } else if (read_exactly(file->fd, begin + from, at, (size_t)(to - from)) < 0) {
            pthread_mutex_lock(&entry->lock);
            entry_drop_piece(entry, piece);
            pthread_mutex_unlock(&entry->lock);
            r = -EAGAIN;
        }
        at += to - from;
    }
    cache_file_give(entry->cache, file);
    if (r == 0) {
        atomic_fetch_add(&entry->cache->hit_bytes, size);
        cache_slot_touch(entry->cache, entry);
    }
    return r;
}

bool blob_entry_has(struct blob_entry *entry, uint64_t piece)
{
    bool has;

    pthread_mutex_lock(&entry->lock);
    has = has_pieces(entry, piece, piece);
    pthread_mutex_unlock(&entry->lock);
    return has;
}

bool blob_entry_is_complete(struct blob_entry *entry)
{
    bool complete;

    pthread_mutex_lock(&entry->lock);
    entry_load(entry);
    complete = entry->present.set == entry->present.count;
    pthread_mutex_unlock(&entry->lock);
    return complete;
}

bool blob_entry_is_sealed(struct blob_entry *entry)
{
    bool sealed;

    pthread_mutex_lock(&entry->lock);
    entry_load(entry);
    sealed = entry->place == PLACE_COMPLETE;
    pthread_mutex_unlock(&entry->lock);
    return sealed;
}

uint64_t blob_entry_cached_bytes(struct blob_entry *entry)
{
    uint64_t bytes;

    pthread_mutex_lock(&entry->lock);
    entry_load(entry);
    bytes = entry->present.set * BLOB_PIECE_SIZE;
    if (piece_map_has(&entry->present, entry->present.count - 1))
        bytes -= BLOB_PIECE_SIZE - blob_piece_size(entry->key.size, entry->present.count - 1);
    pthread_mutex_unlock(&entry->lock);
    return bytes;
}

/* Writing ----------------------------------------------------------------- */

int cache_save_whole(struct blob_cache *cache, const char *path, const void *bytes, size_t size)
{
    cleanup_fd int fd = -1;
    char temporary[BLOB_PATH_SIZE], folder[8];
    uint64_t number;
    int r;

    r = random_bytes(&number, sizeof(number), NULL);
    if (r < 0)
        return r;
    (void)snprintf(temporary, sizeof(temporary), "part/new.%016llx", (unsigned long long)number);
    r = directory_create(cache->root, temporary, 0444, &fd, NULL);
    if (r < 0)
        return r;
    r = file_write_at(fd, 0, bytes, size, NULL);
    cleanup_fd_at(&fd);
    fd = -1;
    if (r == 0)
        r = directory_rename(cache->root, temporary, cache->root, path, NULL);
    if (r == -ENOENT) {
        const char *slash = strrchr(path, '/');

        (void)snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
        r = directory_make_all(cache->root, folder, 0700, NULL);
        if (r == 0)
            r = directory_rename(cache->root, temporary, cache->root, path, NULL);
    }
    if (r < 0)
        directory_remove_file(cache->root, temporary, NULL);
    return r;
}

static int put_small(struct blob_entry *entry, const void *bytes, size_t size)
{
    struct blob_cache *cache = entry->cache;
    char path[BLOB_PATH_SIZE];
    int r;

    if (entry->key.kind == BLOB_CONTENT) {
        struct digest digest = digest_of(bytes, size);

        if (!digest_equal(&digest, &entry->key.name))
            return -EBADMSG; /* whoever paired the two digests was wrong */
    }
    blob_path(entry, BLOB_PATH_COMPLETE, path);
    r = cache_save_whole(cache, path, bytes, size);
    if (r < 0) {
        cache_failed(cache, r, "writing to the cache");
        return r;
    }
    entry->is_loaded = true;
    entry->place = PLACE_COMPLETE;
    entry->has_info = false;
    piece_map_fill(&entry->present, true);
    cache_slot_set(cache, entry->key.kind, &entry->key.name, true, size, entry);
    return 0;
}

/* After the bytes are in the file (entry locked). */
static void note_put(struct blob_entry *entry, uint64_t piece, size_t size)
{
    uint64_t now = cache_now_ms(entry->cache);

    entry->place = PLACE_PART;
    piece_map_add(&entry->verified, piece);
    if (!piece_map_add(&entry->present, piece))
        return;
    if (entry->dirty_bytes == 0)
        entry->synced_ms = now;
    entry->dirty_bytes += size;
    cache_slot_set(entry->cache, entry->key.kind, &entry->key.name, false,
                   entry->present.set * BLOB_PIECE_SIZE, entry);
    if (!entry->job_queued &&
        (entry->present.set == entry->present.count || entry->dirty_bytes >= BLOB_SYNC_BYTES ||
         now - entry->synced_ms >= BLOB_SYNC_MS))
        entry_queue_job(entry);
}

static int write_piece(int fd, uint64_t offset, const uint8_t *bytes, size_t size)
{
    int r = 0;

    for (size_t at = 0; r == 0 && at < size; at += WRITE_STEP)
        r = file_write_at(fd, offset + at, bytes + at,
                          size - at < WRITE_STEP ? size - at : WRITE_STEP, NULL);
    return r;
}

static int put_large(struct blob_entry *entry, uint64_t piece, const void *bytes, size_t size)
{
    struct cache_file *file = cache_file_take(entry, true);
    int r;

    if (file == NULL)
        return -EBUSY;
    pthread_mutex_unlock(&entry->lock);
    /* A file system takes one write of a file at a time, and the others would wait for it with the
     * processor busy. */
    pthread_mutex_lock(&entry->writing);
    r = write_piece(file->fd, piece * BLOB_PIECE_SIZE, bytes, size);
    pthread_mutex_unlock(&entry->writing);
    if (r < 0)
        cache_failed(entry->cache, r, "writing to the cache");
    pthread_mutex_lock(&entry->lock);
    /* Dropped in between: the bytes went into a file that has no name any more. */
    if (r == 0 && !cache_file_is(entry, file))
        r = -EBUSY;
    if (r == 0)
        note_put(entry, piece, size);
    cache_file_give(entry->cache, file);
    return r;
}

int blob_entry_put(struct blob_entry *entry, uint64_t piece, const void *bytes, size_t size)
{
    struct blob_cache *cache = entry->cache;
    int r = -ENOSPC;

    if (size == 0 || piece >= entry->shape.piece_count)
        return 0;
    if (!cache_is_degraded(cache) && cache_make_room(cache, size) == 0) {
        pthread_mutex_lock(&entry->lock);
        entry_load(entry);
        if (piece_map_has(&entry->present, piece))
            r = 0;
        else if (entry->not_to_be_kept)
            r = -ENOSPC;
        else if (entry->shape.piece_count == 1)
            r = put_small(entry, bytes, size);
        else
            r = put_large(entry, piece, bytes, size);
        if (r == -EBADMSG)
            entry->not_to_be_kept = true;
        pthread_mutex_unlock(&entry->lock);
        cache_room_used(cache, size);
    }
    if (r < 0)
        atomic_fetch_add(&cache->refused, 1);
    return r < 0 ? -ENOSPC : 0;
}

bool blob_entry_is_checked(struct blob_entry *entry)
{
    struct cache_file *file = NULL;
    bool checked = false;

    pthread_mutex_lock(&entry->lock);
    entry_load(entry);
    if (entry->place == PLACE_COMPLETE)
        file = cache_file_take(entry, false); /* of a file that is opened again it sees a change */
    if (file != NULL) {
        doubt_changed(entry, file);
        checked = entry->verified.set == entry->shape.piece_count;
    }
    pthread_mutex_unlock(&entry->lock);
    if (file != NULL)
        cache_file_give(entry->cache, file);
    return checked;
}

static int check_all(struct blob_entry *entry, struct error *err)
{
    cleanup_memory uint8_t *room = memory_resize(NULL, BLOB_PIECE_SIZE, 1);
    int r;

    if (room == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (uint64_t piece = 0; piece < entry->shape.piece_count; piece++) {
        r = blob_entry_read(entry, piece * BLOB_PIECE_SIZE, room,
                            (size_t)blob_piece_size(entry->key.size, piece));
        if (r < 0)
            return error_set(err, r, "the object is not complete in the cache");
    }
    return 0;
}

int blob_entry_open_complete(struct blob_entry *entry, int *out_fd, struct error *err)
{
    cleanup_fd int fd = -1;
    char path[BLOB_PATH_SIZE];
    struct file_info info;
    enum blob_place place;
    int r = blob_entry_is_checked(entry) ? 0 : check_all(entry, err);

    if (r < 0)
        return r;
    pthread_mutex_lock(&entry->lock);
    place = entry->place;
    info = entry->info;
    pthread_mutex_unlock(&entry->lock);
    if (place != PLACE_COMPLETE)
        return error_set(err, -EAGAIN, "the object is not complete in the cache");
    blob_path(entry, BLOB_PATH_COMPLETE, path);
    r = directory_open_read(entry->cache->root, path, &fd, err);
    if (r < 0)
        return r;
    if (entry->has_info) {
        struct file_info now;

        if (file_info(fd, &now, NULL) < 0 || !file_info_unchanged(&info, &now))
            return error_set(err, -EAGAIN, "the object was replaced in the cache");
    }
    cache_slot_touch(entry->cache, entry);
    *out_fd = take_fd(&fd);
    return 0;
}

void blob_entry_drop(struct blob_entry *entry)
{
    pthread_mutex_lock(&entry->lock);
    entry_drop_all(entry);
    entry->is_loaded = true;
    pthread_mutex_unlock(&entry->lock);
}
