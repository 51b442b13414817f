/* SPDX-License-Identifier: MIT */
#include "fs/reader/buffers.h"

#include <pthread.h>
#include <sys/mman.h>

#include "common/base/memory.h"

#define SMALL_MAX ((size_t)64 * 1024) /* the heap's own caching is good enough for these */

struct buffers {
    pthread_mutex_t lock;
    void *kept[BUFFERS_KEPT];
    size_t count;
};

struct buffers *buffers_new(void)
{
    struct buffers *buffers = memory_new(sizeof(*buffers));

    if (buffers != NULL)
        pthread_mutex_init(&buffers->lock, NULL);
    return buffers;
}

struct buffers *buffers_free(struct buffers *buffers)
{
    if (buffers == NULL)
        return NULL;
    for (size_t i = 0; i < buffers->count; i++)
        munmap(buffers->kept[i], BUFFERS_LARGE);
    pthread_mutex_destroy(&buffers->lock);
    return memory_free(buffers);
}

static void *map_large(void)
{
    void *block =
        mmap(NULL, BUFFERS_LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return block == MAP_FAILED ? NULL : block;
}

void *buffers_take(struct buffers *buffers, size_t size)
{
    void *block = NULL;

    if (size <= SMALL_MAX || size > BUFFERS_LARGE)
        return memory_resize(NULL, size, 1);
    pthread_mutex_lock(&buffers->lock);
    if (buffers->count > 0)
        block = buffers->kept[--buffers->count];
    pthread_mutex_unlock(&buffers->lock);
    return block != NULL ? block : map_large();
}

void buffers_give(struct buffers *buffers, void *block, size_t size)
{
    if (block == NULL)
        return;
    if (size <= SMALL_MAX || size > BUFFERS_LARGE) {
        memory_free(block);
        return;
    }
    pthread_mutex_lock(&buffers->lock);
    if (buffers->count < BUFFERS_KEPT) {
        buffers->kept[buffers->count++] = block;
        block = NULL;
    }
    pthread_mutex_unlock(&buffers->lock);
    if (block != NULL)
        munmap(block, BUFFERS_LARGE);
}
