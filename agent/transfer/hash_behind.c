/* SPDX-License-Identifier: MIT */
#include "agent/transfer/hash_behind.h"

#include <errno.h>
#include <pthread.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/base/platform.h"
#include "common/net/http_loop.h"

#define STEP ((size_t)256 << 10)
/* So far behind it is woken: each time is two switches of a processor. */
#define WAKE_STEP ((uint64_t)1 << 20)
#define WRITE_STEP ((uint64_t)16 << 20) /* of what goes to the disk at once */

struct hash_behind {
    int fd;
    uint8_t *buffer;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t moved, hashed;
    uint64_t end;   /* bytes that may be read */
    uint64_t woken; /* those that the thread was told of */
    bool closed, dropped, done;
    struct http_loop *loop; /* told at the end; or NULL */
    struct http_post *post;

    /* The thread's until `done`. */
    struct digest_stream stream;
    uint64_t at, written;
    int result;
    struct error error;
};

bool hash_behind_pays(uint64_t size)
{
    return size >= HASH_BEHIND_MIN && platform_cpu_count() > 1;
}

/* [at, end) is added. */
static int hash_on(struct hash_behind *hash, uint64_t end)
{
    while (hash->at < end) {
        size_t step = end - hash->at < STEP ? (size_t)(end - hash->at) : STEP, got = 0;
        int r = file_read_at(hash->fd, hash->at, hash->buffer, step, &got, &hash->error);

        if (r < 0)
            return r;
        if (got < step)
            return error_set(&hash->error, -EIO, "is shorter than it was");
        digest_stream_add(&hash->stream, hash->buffer, got);
        hash->at += got;
    }
    if (hash->at - hash->written >= WRITE_STEP) {
        file_sync_begin(hash->fd, hash->written, hash->at - hash->written);
        hash->written = hash->at;
    }
    return 0;
}

static void *hash_main(void *context)
{
    struct hash_behind *hash = context;
    int r = 0;

    pthread_mutex_lock(&hash->lock);
    while (r == 0 && !hash->dropped) {
        uint64_t end = hash->end < hash->at + WRITE_STEP ? hash->end : hash->at + WRITE_STEP;

        if (hash->at == end && hash->closed)
            break;
        if (hash->at == end) {
            pthread_cond_wait(&hash->moved, &hash->lock);
            continue;
        }
        pthread_mutex_unlock(&hash->lock);
        r = hash_on(hash, end);
        pthread_mutex_lock(&hash->lock);
    }
    while (!hash->closed && !hash->dropped)
        pthread_cond_wait(&hash->moved, &hash->lock);
    if (r == 0 && (hash->at < hash->end || (hash->dropped && !hash->closed)))
        r = error_set(&hash->error, -ECANCELED, "is not hashed to its end");
    hash->result = r;
    hash->done = true;
    if (hash->post != NULL)
        http_loop_post_at(hash->loop, hash->post);
    pthread_cond_signal(&hash->hashed);
    pthread_mutex_unlock(&hash->lock);
    return NULL;
}

int hash_behind_new(int fd, struct hash_behind **out_hash, struct error *err)
{
    struct hash_behind *hash = memory_new(sizeof(*hash));
    int failure;

    if (hash == NULL || (hash->buffer = memory_resize(NULL, STEP, 1)) == NULL) {
        memory_free(hash);
        return error_set(err, -ENOMEM, "out of memory");
    }
    hash->fd = fd;
    digest_stream_init(&hash->stream);
    pthread_mutex_init(&hash->lock, NULL);
    pthread_cond_init(&hash->moved, NULL);
    pthread_cond_init(&hash->hashed, NULL);
    failure = platform_thread_start(&hash->thread, hash_main, hash);
    if (failure != 0) {
        memory_free(hash->buffer);
        memory_free(hash);
        return error_system(err, failure, "cannot start a thread");
    }
    *out_hash = hash;
    return 0;
}

void hash_behind_drop(struct hash_behind *hash)
{
    if (hash == NULL)
        return;
    pthread_mutex_lock(&hash->lock);
    hash->dropped = true;
    pthread_cond_signal(&hash->moved);
    pthread_mutex_unlock(&hash->lock);
}

struct hash_behind *hash_behind_free(struct hash_behind *hash)
{
    if (hash == NULL)
        return NULL;
    hash_behind_drop(hash);
    pthread_join(hash->thread, NULL);
    pthread_mutex_destroy(&hash->lock);
    pthread_cond_destroy(&hash->moved);
    pthread_cond_destroy(&hash->hashed);
    memory_free(hash->buffer);
    return memory_free(hash);
}

void hash_behind_moved(struct hash_behind *hash, uint64_t end)
{
    pthread_mutex_lock(&hash->lock);
    hash->end = end;
    if (end - hash->woken >= WAKE_STEP) {
        hash->woken = end;
        pthread_cond_signal(&hash->moved);
    }
    pthread_mutex_unlock(&hash->lock);
}

void hash_behind_close(struct hash_behind *hash, struct http_loop *loop, struct http_post *post)
{
    pthread_mutex_lock(&hash->lock);
    hash->closed = true;
    hash->loop = loop;
    hash->post = post;
    if (hash->done) /* it was dropped */
        http_loop_post_at(loop, post);
    pthread_cond_signal(&hash->moved);
    pthread_mutex_unlock(&hash->lock);
}

int hash_behind_end(struct hash_behind *hash, struct digest *out_sha256, struct error *err)
{
    pthread_mutex_lock(&hash->lock);
    hash->closed = true;
    pthread_cond_signal(&hash->moved);
    while (!hash->done)
        pthread_cond_wait(&hash->hashed, &hash->lock);
    pthread_mutex_unlock(&hash->lock);
    if (hash->result < 0)
        return error_set(err, hash->result, "%s", hash->error.text);
    *out_sha256 = digest_stream_end(&hash->stream);
    return 0;
}
