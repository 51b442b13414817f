/* SPDX-License-Identifier: MIT */
#include "server/service/object.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/service/context.h"
#include "server/service/memo.h"

struct object {
    atomic_uint references;
    struct blob_reader reader;
    pthread_mutex_t lock; /* of what follows */
    uint8_t *bytes;
    void *mapping; /* `bytes` lies in it; NULL: `bytes` is from the heap */
    size_t mapping_size;
};

struct object *object_ref(struct object *object)
{
    atomic_fetch_add(&object->references, 1);
    return object;
}

struct object *object_unref(struct object *object)
{
    if (object == NULL || atomic_fetch_sub(&object->references, 1) != 1)
        return NULL;
    if (object->mapping != NULL)
        munmap(object->mapping, object->mapping_size);
    else
        memory_free(object->bytes);
    blob_reader_release(&object->reader);
    pthread_mutex_destroy(&object->lock);
    return memory_free(object);
}

void object_unref_at(struct object **at)
{
    *at = object_unref(*at);
}

void object_take(void *value)
{
    struct object *object;

    memcpy(&object, value, sizeof(object));
    object_ref(object);
}

void object_drop(void *value)
{
    struct object *object;

    memcpy(&object, value, sizeof(object));
    object_unref(object);
}

int object_open_cached(struct services *services, const char *key, struct object **out,
                       struct error *err)
{
    if (!memo_get(services->objects, span_text(key), out))
        return error_set(err, -EAGAIN, "not open");
    return 0;
}

int object_open(struct services *services, const char *key, uint64_t size, struct object **out,
                struct error *err)
{
    cleanup(object_unref_at) struct object *object = NULL;
    struct object *remembered;
    int r;

    if (object_open_cached(services, key, &object, NULL) < 0) {
        object = memory_new(sizeof(*object));
        if (object == NULL)
            return error_set(err, -ENOMEM, "out of memory");
        atomic_init(&object->references, 1);
        pthread_mutex_init(&object->lock, NULL);
        r = blob_store_open(services->store, key, 0, UINT64_MAX, &object->reader, err);
        if (r < 0)
            return r;
        remembered = object_ref(object);
        memo_put(services->objects, span_text(key), &remembered);
    }
    if (size != UINT64_MAX && object->reader.size != size)
        return error_set(err, -EBADMSG, "stored object has %llu bytes instead of %llu",
                         (unsigned long long)object->reader.size, (unsigned long long)size);
    *out = take_pointer(&object);
    return 0;
}

uint64_t object_size(const struct object *object)
{
    return object->reader.size;
}

int object_descriptor(const struct object *object, uint64_t *out_base)
{
    *out_base = object->reader.fd_offset;
    return object->reader.fd;
}

int object_read(struct object *object, uint64_t offset, void *out, size_t size, struct error *err)
{
    return blob_reader_read(&object->reader, offset, out, size, err);
}

/* The mapping starts at a page; the object may start behind it. */
static int map_descriptor(struct object *object, struct error *err)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t before = object->reader.fd_offset % page;
    size_t size = (size_t)(object->reader.size + before);
    void *mapping = mmap(NULL, size, PROT_READ, MAP_SHARED, object->reader.fd,
                         (off_t)(object->reader.fd_offset - before));

    if (mapping == MAP_FAILED)
        return error_system(err, errno, "map a stored object");
    object->mapping = mapping;
    object->mapping_size = size;
    object->bytes = (uint8_t *)mapping + before;
    return 0;
}

static int load(struct object *object, struct error *err)
{
    cleanup_memory uint8_t *bytes = memory_new((size_t)object->reader.size);
    int r;

    if (bytes == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = blob_reader_read(&object->reader, 0, bytes, (size_t)object->reader.size, err);
    if (r < 0)
        return r;
    object->bytes = take_pointer(&bytes);
    return 0;
}

int object_bytes(struct object *object, struct span *out, struct error *err)
{
    int r = 0;

    if (object->reader.size == 0) {
        *out = span_of("", 0);
        return 0;
    }
    pthread_mutex_lock(&object->lock);
    if (object->bytes == NULL && object->reader.fd >= 0)
        r = map_descriptor(object, err);
    else if (object->bytes == NULL)
        r = load(object, err);
    if (r == 0)
        *out = span_of(object->bytes, (size_t)object->reader.size);
    pthread_mutex_unlock(&object->lock);
    return r;
}
