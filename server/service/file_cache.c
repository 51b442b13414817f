/* SPDX-License-Identifier: MIT */
#include "server/service/file_cache.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/map.h"
#include "common/base/memory.h"

/* No name of a file that is whole has a capital letter. */
#define UNFINISHED "New-"
#define UNFINISHED_SIZE 32

struct cached {
    uint64_t size;
    int64_t used_s;
    uint64_t used; /* orders those of one second */
};

struct file_cache {
    struct directory *directory;
    uint64_t size_max;
    pthread_mutex_t lock; /* of what follows */
    struct map files;     /* name -> struct cached * */
    uint64_t size;        /* of all */
    uint64_t uses;
    uint64_t unfinished; /* names of new ones */
    bool is_loaded;
};

CLEANUP_DEFINE(file_cache, file_cache_free);

int file_cache_new(const char *path, uint64_t size_max, struct file_cache **out_cache,
                   struct error *err)
{
    cleanup(cleanup_file_cache) struct file_cache *cache = memory_new(sizeof(*cache));
    int r;

    if (cache == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    pthread_mutex_init(&cache->lock, NULL);
    cache->files = map_init();
    cache->size_max = size_max;
    r = directory_open(path, &cache->directory, err);
    if (r < 0)
        return r;
    *out_cache = take_pointer(&cache);
    return 0;
}

struct file_cache *file_cache_free(struct file_cache *cache)
{
    struct span name;
    void *file;

    if (cache == NULL)
        return NULL;
    for (size_t at = 0; map_next(&cache->files, &at, &name, &file);)
        memory_free(file);
    map_release(&cache->files);
    directory_close(cache->directory);
    pthread_mutex_destroy(&cache->lock);
    return memory_free(cache);
}

static bool is_name(const char *name)
{
    size_t size = strlen(name);

    return size >= 1 && size <= FILE_CACHE_NAME_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == size;
}

static void forget(struct file_cache *cache, const char *name)
{
    struct cached *file = map_remove(&cache->files, span_text(name));

    if (file == NULL)
        return;
    cache->size -= file->size;
    memory_free(file);
}

static int remember(struct file_cache *cache, const char *name, uint64_t size, int64_t used_s,
                    struct error *err)
{
    struct cached *file = memory_new(sizeof(*file));
    int r = file == NULL ? -ENOMEM : 0;

    forget(cache, name);
    if (r == 0)
        r = map_set(&cache->files, span_text(name), file, NULL);
    if (r < 0) {
        memory_free(file);
        return error_set(err, r, "out of memory");
    }
    *file = (struct cached){ .size = size, .used_s = used_s, .used = cache->uses++ };
    cache->size += size;
    return 0;
}

static bool is_older(const struct cached *one, const struct cached *other)
{
    return one->used_s != other->used_s ? one->used_s < other->used_s : one->used < other->used;
}

/* The file used longest ago goes. False: there is none. */
static bool drop_oldest(struct file_cache *cache)
{
    const struct cached *oldest = NULL;
    char text[FILE_CACHE_NAME_MAX + 1];
    struct span name, found = span_of("", 0);
    void *value;

    for (size_t at = 0; map_next(&cache->files, &at, &name, &value);) {
        if (oldest != NULL && !is_older(value, oldest))
            continue;
        oldest = value;
        found = name;
    }
    if (oldest == NULL)
        return false;
    memcpy(text, found.bytes, found.size);
    text[found.size] = '\0';
    directory_remove_file(cache->directory, text, NULL);
    forget(cache, text);
    return true;
}

static void make_room(struct file_cache *cache, uint64_t size)
{
    while (cache->size + size > cache->size_max || cache->files.count >= FILE_CACHE_FILES_MAX) {
        if (!drop_oldest(cache))
            return;
    }
}

static int look_at(void *context, const char *name, enum file_kind kind, struct error *err)
{
    struct file_cache *cache = context;
    struct file_info info;

    if (strncmp(name, UNFINISHED, strlen(UNFINISHED)) == 0)
        return directory_remove_file(cache->directory, name, err);
    if (!is_name(name) || directory_info(cache->directory, name, &info, NULL) < 0 ||
        info.kind != FILE_REGULAR)
        return 0;
    return remember(cache, name, info.size, info.mtime_s, err);
}

static int load(struct file_cache *cache, struct error *err)
{
    int r;

    if (cache->is_loaded)
        return 0;
    r = directory_list(cache->directory, "", look_at, cache, err);
    if (r < 0)
        return r;
    cache->is_loaded = true;
    make_room(cache, 0); /* the quota may be smaller than it was */
    return 0;
}

static int open_file(struct file_cache *cache, const char *name, int *out_fd, uint64_t *out_size,
                     struct error *err)
{
    cleanup_fd int fd = -1;
    struct cached *file;
    int r = load(cache, err);

    if (r < 0)
        return r;
    file = map_get(&cache->files, span_text(name));
    if (file == NULL)
        return error_set(err, -ENOENT, "not in the cache");
    r = directory_open_read(cache->directory, name, &fd, err);
    if (r < 0) {
        if (r == -ENOENT)
            forget(cache, name);
        return r;
    }
    file->used = cache->uses++;
    if (file->used_s != clock_now_s()) {
        file->used_s = clock_now_s();
        directory_set_mtime(cache->directory, name, file->used_s, NULL);
    }
    *out_size = file->size;
    *out_fd = take_fd(&fd);
    return 0;
}

int file_cache_open(struct file_cache *cache, const char *name, int *out_fd, uint64_t *out_size,
                    struct error *err)
{
    int r;

    assert(is_name(name));
    pthread_mutex_lock(&cache->lock);
    r = open_file(cache, name, out_fd, out_size, err);
    pthread_mutex_unlock(&cache->lock);
    return r;
}

/* Durable before it has its name: what a crash leaves is whole. */
static int write_copy(struct file_cache *cache, const char *unfinished, int fd, uint64_t size,
                      struct error *err)
{
    cleanup_fd int copy = -1;
    int r = directory_create(cache->directory, unfinished, 0600, &copy, err);

    if (r == 0)
        r = file_copy(fd, copy, size, err);
    if (r == 0)
        r = file_sync_data(copy, err);
    return r;
}

static int begin_new(struct file_cache *cache, char unfinished[UNFINISHED_SIZE], struct error *err)
{
    int r;

    pthread_mutex_lock(&cache->lock);
    r = load(cache, err);
    snprintf(unfinished, UNFINISHED_SIZE, UNFINISHED "%" PRIu64, cache->unfinished++);
    pthread_mutex_unlock(&cache->lock);
    return r;
}

static int give_name(struct file_cache *cache, const char *unfinished, const char *name,
                     uint64_t size, struct error *err)
{
    int r;

    pthread_mutex_lock(&cache->lock);
    forget(cache, name);
    make_room(cache, size);
    r = directory_rename(cache->directory, unfinished, cache->directory, name, err);
    if (r == 0)
        r = remember(cache, name, size, clock_now_s(), err);
    pthread_mutex_unlock(&cache->lock);
    return r;
}

int file_cache_put(struct file_cache *cache, const char *name, int fd, uint64_t size,
                   struct error *err)
{
    char unfinished[UNFINISHED_SIZE];
    int r;

    assert(is_name(name));
    if (size > cache->size_max)
        return error_set(err, -EFBIG, "more than the cache keeps in all");
    r = begin_new(cache, unfinished, err);
    if (r < 0)
        return r;
    r = write_copy(cache, unfinished, fd, size, err);
    if (r == 0)
        r = give_name(cache, unfinished, name, size, err);
    if (r < 0)
        directory_remove_file(cache->directory, unfinished, NULL);
    return r;
}

int file_cache_remove(struct file_cache *cache, const char *name, struct error *err)
{
    int r;

    assert(is_name(name));
    pthread_mutex_lock(&cache->lock);
    r = load(cache, err);
    if (r == 0)
        r = directory_remove_file(cache->directory, name, err);
    if (r == 0 || r == -ENOENT)
        forget(cache, name);
    pthread_mutex_unlock(&cache->lock);
    return r == -ENOENT ? 0 : r;
}
