/* SPDX-License-Identifier: MIT */
#include "server/service/object.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/service/context.h"
#include "server/service/memo.h"
#include "server/service/scratch.h"

/* Of a copy. Hundreds of objects are open at a time: what is larger goes into a file. */
#define OBJECT_MEMORY_MAX ((uint64_t)64 << 10)
#define OBJECT_MEMORY_FULL_MAX ((uint64_t)32 << 20) /* when there is no room on the disk */
#define LOAD_PIECE ((size_t)1 << 20)

struct object {
    atomic_uint references;
    struct blob_reader reader;
    pthread_mutex_t lock;     /* of what follows */
    struct scratch copy;      /* all bytes; empty until they are asked for */
    const char *scratch_path; /* the services' own */
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
    scratch_release(&object->copy);
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
        object->scratch_path = services->scratch_path;
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

/* In our own memory or a file without a name: a mapping of the store's file would end the server by
 * a signal when that file is cut, or a page of it cannot be read. A disk too full for the copy does
 * not stop reading: then it is memory, unless that is too much of it. */
static int load(struct object *object, struct error *err)
{
    const uint64_t size = object->reader.size;
    cleanup(scratch_release) struct scratch copy = { 0 };
    int r =
        scratch_map_file(size > OBJECT_MEMORY_MAX ? object->scratch_path : NULL, size, &copy, err);

    if ((r == -ENOSPC || r == -EDQUOT) && size <= OBJECT_MEMORY_FULL_MAX)
        r = scratch_map_file(NULL, size, &copy, err);
    for (uint64_t at = 0; r == 0 && at < size; at += LOAD_PIECE) {
        const uint64_t left = size - at;

        r = blob_reader_read(&object->reader, at, copy.bytes + at,
                             left < LOAD_PIECE ? (size_t)left : LOAD_PIECE, err);
    }
    if (r < 0)
        return r;
    object->copy = copy;
    copy = (struct scratch){ 0 };
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
    if (object->copy.bytes == NULL)
        r = load(object, err);
    if (r == 0)
        *out = span_of(object->copy.bytes, object->copy.size);
    pthread_mutex_unlock(&object->lock);
    return r;
}
