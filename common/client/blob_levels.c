/* SPDX-License-Identifier: MIT */
/* What bytes are checked against: the levels of the hash tree, in memory and on disk. */
#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/client/blob_cache_private.h"

#define LEVELS_MAX (64 * 1024 * 1024) /* of an object of 1 TiB */

uint64_t blob_levels_size(uint64_t object_size)
{
    struct merkle_shape shape;

    if (merkle_shape_of(object_size, &shape, NULL) < 0)
        return 0;
    return merkle_upper_range(&shape).size;
}

static struct span levels_span(const struct blob_entry *entry)
{
    return span_of(entry->levels,
                   entry->levels == NULL ? 0 : (size_t)merkle_upper_range(&entry->shape).size);
}

static bool entry_load_levels(struct blob_entry *entry)
{
    cleanup_fd int fd = -1;
    size_t size = (size_t)merkle_upper_range(&entry->shape).size, got = 0;
    char path[BLOB_PATH_SIZE];
    uint8_t *levels;

    if (size == 0 || entry->levels != NULL)
        return true;
    if (entry->levels_sought || entry->cache->root == NULL || size > LEVELS_MAX)
        return false;
    entry->levels_sought = true;
    blob_path(entry, BLOB_PATH_LEVELS, path);
    if (directory_open_read(entry->cache->root, path, &fd, NULL) < 0)
        return false;
    levels = memory_resize(NULL, size, 1);
    if (levels == NULL)
        return false;
    if (file_read_at(fd, 0, levels, size, &got, NULL) < 0 || got != size ||
        merkle_check_upper(&entry->shape, &entry->key.verity, span_of(levels, size), NULL) < 0) {
        atomic_fetch_add(&entry->cache->damaged, 1);
        directory_remove_file(entry->cache->root, path, NULL);
        memory_free(levels);
        return false;
    }
    entry->levels = levels;
    return true;
}

bool blob_entry_has_levels(struct blob_entry *entry)
{
    bool has;

    pthread_mutex_lock(&entry->lock);
    has = entry_load_levels(entry);
    pthread_mutex_unlock(&entry->lock);
    return has;
}

int blob_entry_set_levels(struct blob_entry *entry, const void *levels, size_t size,
                          struct error *err)
{
    char path[BLOB_PATH_SIZE];
    uint8_t *copy;
    int r;

    if (size != merkle_upper_range(&entry->shape).size)
        return error_set(err, -EBADMSG, "merkle levels of %zu bytes where %llu belong", size,
                         (unsigned long long)merkle_upper_range(&entry->shape).size);
    r = merkle_check_upper(&entry->shape, &entry->key.verity, span_of(levels, size), err);
    if (r < 0)
        return r;
    copy = memory_copy(levels, size);
    if (copy == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    pthread_mutex_lock(&entry->lock);
    if (entry->levels == NULL)
        entry->levels = take_pointer(&copy);
    pthread_mutex_unlock(&entry->lock);
    memory_free(copy);
    if (!cache_is_degraded(entry->cache)) {
        blob_path(entry, BLOB_PATH_LEVELS, path);
        r = cache_save_whole(entry->cache, path, levels, size);
        if (r < 0)
            cache_failed(entry->cache, r, "writing to the cache");
    }
    return 0;
}

/* Levels do not change once they are set, so they are read without the lock. */
static int find_levels(struct blob_entry *entry, struct span *out, struct error *err)
{
    bool has;

    pthread_mutex_lock(&entry->lock);
    has = entry_load_levels(entry);
    *out = levels_span(entry);
    pthread_mutex_unlock(&entry->lock);
    return has ? 0 : error_set(err, -EAGAIN, "the merkle levels are not here");
}

int blob_entry_verify_bottom(struct blob_entry *entry, uint64_t piece, struct span bottom,
                             struct error *err)
{
    struct span levels;
    int r = find_levels(entry, &levels, err);

    return r < 0
               ? r
               : merkle_check_bottom(&entry->shape, &entry->key.verity, levels, piece, bottom, err);
}

int blob_entry_verify(struct blob_entry *entry, uint64_t piece, const void *bytes, size_t size,
                      struct error *err)
{
    struct span levels;
    int r;

    if (piece >= entry->shape.piece_count || size != blob_piece_size(entry->key.size, piece))
        return error_set(err, -EBADMSG, "a piece of the wrong size");
    r = find_levels(entry, &levels, err);
    if (r < 0)
        return r;
    return merkle_check_piece(&entry->shape, &entry->key.verity, levels, piece,
                              span_of(bytes, size), NULL, err);
}
