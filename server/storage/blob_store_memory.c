/* SPDX-License-Identifier: MIT */
#include "server/storage/blob_store_memory.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "server/storage/blob_store.h"

struct memory_store;

struct object {
    struct memory_store *store;
    struct buf bytes;
    unsigned references; /* the store's and the readers' */
    bool is_readable;
    bool is_written; /* a writer has it */
    int64_t changed_at_s;
};

struct memory_store {
    struct blob_store base;
    pthread_mutex_t lock; /* all that follows, and the objects */
    struct map objects;
    uint64_t used;
    uint64_t limit;
};

struct memory_writer {
    struct blob_writer base;
    struct object *object;
    char key[BLOB_KEY_MAX + 1];
};

static struct memory_store *lock(struct blob_store *store)
{
    struct memory_store *self = (struct memory_store *)store;

    pthread_mutex_lock(&self->lock);
    return self;
}

static int unlock(struct memory_store *self, int r)
{
    pthread_mutex_unlock(&self->lock);
    return r;
}

static void object_drop(struct object *object)
{
    if (--object->references > 0)
        return;
    buf_release(&object->bytes);
    memory_free(object);
}

static void object_forget(struct memory_store *self, const char *key)
{
    struct object *object = map_remove(&self->objects, span_text(key));

    if (object == NULL)
        return;
    self->used -= object->bytes.size;
    object_drop(object);
}

static int writer_new(struct object *object, const char *key, struct blob_writer **out,
                      struct error *err)
{
    struct memory_writer *writer = memory_new(sizeof(*writer));

    if (writer == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    writer->object = object;
    memcpy(writer->key, key, strlen(key) + 1);
    object->is_written = true;
    *out = &writer->base;
    return 0;
}

static int create_locked(struct memory_store *self, const char *key,
                         struct blob_writer **out_writer, struct error *err)
{
    struct object *object;
    int r;

    if (map_has(&self->objects, span_text(key)))
        return error_set(err, -EEXIST, "object %s is there already", key);
    object = memory_new(sizeof(*object));
    if (object == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    object->store = self;
    object->bytes = buf_init(BUF_UNLIMITED);
    object->references = 1;
    r = map_set(&self->objects, span_text(key), object, NULL);
    if (r < 0) {
        object_drop(object);
        return error_set(err, r, "out of memory");
    }
    r = writer_new(object, key, out_writer, err);
    if (r < 0)
        object_forget(self, key);
    return r;
}

static int store_create(struct blob_store *store, const char *key, uint64_t size,
                        struct blob_writer **out_writer, struct error *err)
{
    struct memory_store *self = lock(store);

    return unlock(self, create_locked(self, key, out_writer, err));
}

static int resume_locked(struct memory_store *self, const char *key, uint64_t *offset,
                         struct blob_writer **out_writer, struct error *err)
{
    struct object *object = map_get(&self->objects, span_text(key));
    int r;

    if (object == NULL || object->is_readable)
        return error_set(err, -ENOENT, "no unfinished object %s", key);
    if (object->is_written)
        return error_set(err, -EBUSY, "object %s is being written", key);
    r = writer_new(object, key, out_writer, err);
    if (r < 0)
        return r;
    if (object->bytes.size < *offset)
        *offset = object->bytes.size;
    self->used -= object->bytes.size - *offset;
    object->bytes.size = *offset;
    return 0;
}

static int store_resume(struct blob_store *store, const char *key, uint64_t size, uint64_t *offset,
                        struct blob_writer **out_writer, struct error *err)
{
    struct memory_store *self = lock(store);

    return unlock(self, resume_locked(self, key, offset, out_writer, err));
}

static int write_locked(struct memory_store *self, struct object *object, const void *bytes,
                        size_t size, struct error *err)
{
    size_t before = object->bytes.size;
    int r;

    if (size > self->limit - self->used)
        return error_set(err, -ENOSPC, "the store is full");
    buf_add(&object->bytes, bytes, size);
    r = buf_check(&object->bytes, err);
    if (r < 0) {
        object->bytes.failure = 0;
        object->bytes.size = before;
        return r;
    }
    self->used += size;
    return 0;
}

static int writer_write(struct blob_writer *writer, const void *bytes, size_t size,
                        struct error *err)
{
    struct memory_store *self = lock(writer->store);
    struct object *object = ((struct memory_writer *)writer)->object;

    return unlock(self, write_locked(self, object, bytes, size, err));
}

static int writer_suspend(struct blob_writer *writer, struct error *err)
{
    struct memory_store *self = lock(writer->store);

    ((struct memory_writer *)writer)->object->is_written = false;
    memory_free(writer);
    return unlock(self, 0);
}

static int writers_commit(struct blob_writer *const *writers, size_t count, struct error *err)
{
    struct memory_store *self = lock(writers[0]->store);

    for (size_t i = 0; i < count; i++) {
        struct object *object = ((struct memory_writer *)writers[i])->object;

        object->is_written = false;
        object->is_readable = true;
        object->changed_at_s = clock_now_s();
        memory_free(writers[i]);
    }
    return unlock(self, 0);
}

static void writer_abort(struct blob_writer *writer)
{
    struct memory_store *self = lock(writer->store);

    object_forget(self, ((struct memory_writer *)writer)->key);
    memory_free(writer);
    unlock(self, 0);
}

static int open_locked(struct memory_store *self, const char *key, uint64_t offset, uint64_t size,
                       struct blob_reader *out_reader, struct error *err)
{
    struct object *object = map_get(&self->objects, span_text(key));
    uint64_t whole;

    if (object == NULL || !object->is_readable)
        return error_set(err, -ENOENT, "no object %s", key);
    whole = object->bytes.size;
    if (size == UINT64_MAX && offset <= whole)
        size = whole - offset;
    if (offset > whole || size > whole - offset)
        return error_set(err, -EBADMSG, "the object is too short");
    object->references++;
    out_reader->state = object;
    out_reader->fd = -1;
    out_reader->fd_offset = offset;
    out_reader->size = size;
    return 0;
}

static int store_open(struct blob_store *store, const char *key, uint64_t offset, uint64_t size,
                      struct blob_reader *out_reader, struct error *err)
{
    struct memory_store *self = lock(store);

    return unlock(self, open_locked(self, key, offset, size, out_reader, err));
}

/* A readable object does not change, so no lock. */
static int reader_read(struct blob_reader *reader, uint64_t offset, void *out, size_t size,
                       struct error *err)
{
    const struct object *object = reader->state;

    memcpy(out, object->bytes.bytes + reader->fd_offset + offset, size);
    return 0;
}

static void reader_release(struct blob_reader *reader)
{
    struct object *object = reader->state;
    struct memory_store *self = lock(&object->store->base);

    object_drop(object);
    unlock(self, 0);
}

static int store_remove(struct blob_store *store, const char *key, struct error *err)
{
    struct memory_store *self = lock(store);
    struct object *object = map_get(&self->objects, span_text(key));

    if (object != NULL && object->is_written)
        return unlock(self, error_set(err, -EBUSY, "object %s is being written", key));
    object_forget(self, key);
    return unlock(self, 0);
}

/* Nobody could look for it: what is kept of it is that the key is taken. */
static int store_set_aside(struct blob_store *store, const char *key, struct error *err)
{
    return store_remove(store, key, err);
}

static int store_list(struct blob_store *store, blob_store_each *each, void *context,
                      struct error *err)
{
    struct memory_store *self = lock(store);
    struct span key;
    void *value;
    size_t at = 0;
    int r = 0;

    while (r == 0 && map_next(&self->objects, &at, &key, &value)) {
        struct object *object = value;
        char text[BLOB_KEY_MAX + 1] = "";

        memcpy(text, key.bytes, key.size);
        if (object->is_readable)
            r = each(context, text, object->bytes.size, object->changed_at_s, err);
    }
    return unlock(self, r);
}

static int store_free_space(struct blob_store *store, uint64_t *out_bytes, struct error *err)
{
    struct memory_store *self = lock(store);

    *out_bytes = self->limit - self->used;
    return unlock(self, 0);
}

static int store_check(struct blob_store *store, struct error *err)
{
    return 0;
}

static void store_free(struct blob_store *store)
{
    struct memory_store *self = (struct memory_store *)store;
    struct span key;
    void *value;
    size_t at = 0;

    while (map_next(&self->objects, &at, &key, &value))
        object_drop(value);
    map_release(&self->objects);
    pthread_mutex_destroy(&self->lock);
    memory_free(self);
}

static const struct blob_store_ops memory_ops = {
    .name = "memory",
    .create = store_create,
    .resume = store_resume,
    .write = writer_write,
    .suspend = writer_suspend,
    .commit = writers_commit,
    .abort = writer_abort,
    .open = store_open,
    .read = reader_read,
    .release = reader_release,
    .remove = store_remove,
    .set_aside = store_set_aside,
    .list = store_list,
    .free_space = store_free_space,
    .check = store_check,
    .free = store_free,
};

int blob_store_memory_new(const char *store_id, uint64_t limit, struct blob_store **out_store,
                          struct error *err)
{
    struct memory_store *self;

    if (strlen(store_id) != BLOB_STORE_ID_SIZE - 1)
        return error_set(err, -EINVAL, "\"%s\" is no store id", store_id);
    self = memory_new(sizeof(*self));
    if (self == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    self->base.ops = &memory_ops;
    memcpy(self->base.id, store_id, BLOB_STORE_ID_SIZE);
    pthread_mutex_init(&self->lock, NULL);
    self->objects = map_init();
    self->limit = limit;
    *out_store = &self->base;
    return 0;
}
