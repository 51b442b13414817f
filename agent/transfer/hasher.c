/* SPDX-License-Identifier: MIT */
#include "agent/transfer/hasher.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "agent/transfer/stat_cache.h"
#include "agent/transfer/transfer.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/platform.h"

#define QUEUE_SIZE 1024
#define BUFFER_SIZE (256 * 1024)
#define THREADS_MAX 64

struct hasher {
    struct transfer *transfer;
    struct directory *root;
    hasher_done *done;
    void *context;
    atomic_bool uncounted, dropped;
    pthread_mutex_t lock;
    pthread_cond_t added, taken;
    struct scan_entry *queue[QUEUE_SIZE]; /* a ring */
    size_t first, waiting;
    bool ending;
    int result; /* the first that was not 0 */
    struct error error;
    const char *unsteady;
    pthread_t threads[THREADS_MAX];
    size_t thread_count;
};

CLEANUP_DEFINE(hasher, hasher_free);

static bool is_set(const atomic_bool *stop)
{
    return stop != NULL && atomic_load_explicit(stop, memory_order_relaxed);
}

static int read_all(int fd, uint64_t size, uint8_t *buffer, size_t buffer_size,
                    const atomic_bool *stop, const atomic_bool *dropped, struct digest *out_sha256,
                    struct error *err)
{
    struct digest_stream stream;
    uint64_t offset = 0;

    digest_stream_init(&stream);
    while (offset < size) {
        size_t step = size - offset < buffer_size ? (size_t)(size - offset) : buffer_size;
        size_t n = 0;
        int r = file_read_at(fd, offset, buffer, step, &n, err);
        if (r < 0)
            return r;
        if (n < step)
            return error_set(err, -EIO, "is shorter than it was");
        if (is_set(stop) || is_set(dropped))
            return error_set(err, -ECANCELED, "interrupted");
        digest_stream_add(&stream, buffer, n);
        offset += n;
    }
    *out_sha256 = digest_stream_end(&stream);
    return 0;
}

int hasher_read(int fd, uint64_t size, uint8_t *buffer, size_t buffer_size, const atomic_bool *stop,
                struct digest *out_sha256, struct error *err)
{
    return read_all(fd, size, buffer, buffer_size, stop, NULL, out_sha256, err);
}

/* One try: 0, HASHER_UNSTEADY, or an error. */
static int hash_once(struct hasher *hasher, struct scan_entry *entry, uint8_t *buffer,
                     struct error *err)
{
    cleanup_fd int fd = -1;
    struct file_info before, after;
    int r = directory_open_read(hasher->root, entry->path, &fd, err);

    if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP || r == -EINVAL)
        return HASHER_UNSTEADY; /* it was a file a moment ago */
    if (r == 0)
        r = file_info(fd, &before, err);
    if (r < 0)
        return r;
    scan_entry_set(entry, &before);
    r = read_all(fd, before.size, buffer, BUFFER_SIZE, hasher->transfer->stop, &hasher->dropped,
                 &entry->sha256, err);
    if (r == -EIO && file_info(fd, &after, NULL) == 0 && after.size < before.size)
        return HASHER_UNSTEADY;
    if (r < 0)
        return error_prefix(err, r, "%s", entry->path);
    r = file_info(fd, &after, err);
    if (r < 0)
        return r;
    return file_info_unchanged(&before, &after) ? 0 : HASHER_UNSTEADY;
}

static int hash_entry(struct hasher *hasher, struct scan_entry *entry, uint8_t *buffer,
                      struct error *err)
{
    int r = HASHER_UNSTEADY;

    for (int tries = 0; r == HASHER_UNSTEADY && tries < HASHER_TRIES; tries++)
        r = hash_once(hasher, entry, buffer, err);
    if (r == 0 && !atomic_load(&hasher->uncounted))
        transfer_done(hasher->transfer, 0, entry->size);
    return r;
}

static void note_result(struct hasher *hasher, int r, const struct scan_entry *entry,
                        const struct error *err)
{
    if (r == 0 || hasher->result < 0 || (hasher->result > 0 && r > 0))
        return;
    hasher->result = r;
    if (r < 0)
        hasher->error = *err;
    else
        hasher->unsteady = entry->path;
}

static void *hasher_main(void *context)
{
    struct hasher *hasher = context;
    uint8_t *buffer = memory_new(BUFFER_SIZE);
    struct error err = { -ENOMEM, "out of memory" };

    pthread_mutex_lock(&hasher->lock);
    for (;;) {
        struct scan_entry *entry;
        bool given_up;
        int r;
        while (hasher->waiting == 0 && !hasher->ending)
            pthread_cond_wait(&hasher->added, &hasher->lock);
        if (hasher->waiting == 0)
            break;
        entry = hasher->queue[hasher->first];
        hasher->first = (hasher->first + 1) % QUEUE_SIZE;
        hasher->waiting--;
        pthread_cond_signal(&hasher->taken);
        given_up = hasher->result < 0; /* the rest is for nothing */
        pthread_mutex_unlock(&hasher->lock);
        if (given_up)
            r = -ECANCELED;
        else
            r = buffer == NULL ? -ENOMEM : hash_entry(hasher, entry, buffer, &err);
        if (hasher->done != NULL)
            hasher->done(hasher->context, entry, r);
        pthread_mutex_lock(&hasher->lock);
        if (!given_up)
            note_result(hasher, r, entry, &err);
    }
    pthread_mutex_unlock(&hasher->lock);
    memory_free(buffer);
    return NULL;
}

int hasher_new(struct transfer *transfer, struct directory *root, hasher_done *done, void *context,
               struct hasher **out_hasher, struct error *err)
{
    cleanup(cleanup_hasher) struct hasher *hasher = memory_new(sizeof(*hasher));
    size_t count = transfer->threads < 1 ? 1 : transfer->threads;

    if (hasher == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    hasher->transfer = transfer;
    hasher->root = root;
    hasher->done = done;
    hasher->context = context;
    pthread_mutex_init(&hasher->lock, NULL);
    pthread_cond_init(&hasher->added, NULL);
    pthread_cond_init(&hasher->taken, NULL);
    while (hasher->thread_count < count && hasher->thread_count < THREADS_MAX) {
        int failure =
            platform_thread_start(&hasher->threads[hasher->thread_count], hasher_main, hasher);
        if (failure != 0)
            return error_system(err, failure, "cannot start a thread");
        hasher->thread_count++;
    }
    *out_hasher = take_pointer(&hasher);
    return 0;
}

void hasher_uncounted(struct hasher *hasher)
{
    atomic_store(&hasher->uncounted, true);
}

void hasher_add(struct hasher *hasher, struct scan_entry *entry)
{
    pthread_mutex_lock(&hasher->lock);
    while (hasher->waiting == QUEUE_SIZE)
        pthread_cond_wait(&hasher->taken, &hasher->lock);
    hasher->queue[(hasher->first + hasher->waiting) % QUEUE_SIZE] = entry;
    hasher->waiting++;
    pthread_cond_signal(&hasher->added);
    pthread_mutex_unlock(&hasher->lock);
}

static void end_threads(struct hasher *hasher)
{
    pthread_mutex_lock(&hasher->lock);
    hasher->ending = true;
    pthread_cond_broadcast(&hasher->added);
    pthread_mutex_unlock(&hasher->lock);
    while (hasher->thread_count > 0)
        pthread_join(hasher->threads[--hasher->thread_count], NULL);
}

int hasher_finish(struct hasher *hasher, const char **out_path, struct error *err)
{
    end_threads(hasher);
    if (hasher->result < 0)
        return error_set(err, hasher->result, "%s", hasher->error.text);
    if (hasher->result > 0)
        *out_path = hasher->unsteady;
    return hasher->result;
}

struct hasher *hasher_free(struct hasher *hasher)
{
    if (hasher == NULL)
        return NULL;
    atomic_store(&hasher->dropped, true);
    pthread_mutex_lock(&hasher->lock);
    hasher->waiting = 0;
    pthread_mutex_unlock(&hasher->lock);
    end_threads(hasher);
    pthread_cond_destroy(&hasher->taken);
    pthread_cond_destroy(&hasher->added);
    pthread_mutex_destroy(&hasher->lock);
    return memory_free(hasher);
}
