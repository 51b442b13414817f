/* SPDX-License-Identifier: MIT */
#include "server/service/tests/fault_store.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/storage/blob_store.h"

struct fault_store {
    struct blob_store base;
    struct blob_store *inner;
    pthread_mutex_t lock;
    int64_t calls;
    int64_t fail_at; /* -1: never */
    int error;
    int for_ever;
    int failed;
    int removal_error; /* 0: none */
    int object_error;  /* 0: none */
    char object[64];
    uint64_t left; /* UINT64_MAX: as the inner store says */
};

struct fault_writer {
    struct blob_writer base;
    struct blob_writer *inner;
};

static const struct blob_store_ops fault_ops;

static struct fault_store *cast(struct blob_store *store)
{
    return (struct fault_store *)store;
}

/* Counts the call; its failure, or 0. */
static int strike(struct blob_store *store, struct error *err)
{
    struct fault_store *self = cast(store);
    int r = 0;

    pthread_mutex_lock(&self->lock);
    if (self->fail_at >= 0 &&
        (self->calls == self->fail_at || (self->for_ever && self->calls > self->fail_at))) {
        r = self->error;
        self->failed = 1;
    }
    self->calls++;
    pthread_mutex_unlock(&self->lock);
    return r < 0 ? error_set(err, r, "injected failure") : 0;
}

static int wrap(struct blob_store *store, struct blob_writer *inner, uint64_t size,
                uint64_t written, struct blob_writer **out, struct error *err)
{
    struct fault_writer *writer = memory_new(sizeof(*writer));

    if (writer == NULL) {
        blob_writer_abort(inner);
        return error_set(err, -ENOMEM, "out of memory");
    }
    writer->base.store = store;
    writer->base.size = size;
    writer->base.written = written;
    writer->inner = inner;
    *out = &writer->base;
    return 0;
}

static int fault_create(struct blob_store *store, const char *key, uint64_t size,
                        struct blob_writer **out_writer, struct error *err)
{
    struct blob_writer *inner;
    int r = strike(store, err);

    if (r == 0)
        r = blob_store_create(cast(store)->inner, key, size, &inner, err);
    return r < 0 ? r : wrap(store, inner, size, 0, out_writer, err);
}

static int fault_resume(struct blob_store *store, const char *key, uint64_t size, uint64_t *offset,
                        struct blob_writer **out_writer, struct error *err)
{
    struct blob_writer *inner;
    int r = strike(store, err);

    if (r == 0)
        r = blob_store_resume(cast(store)->inner, key, size, offset, &inner, err);
    return r < 0 ? r : wrap(store, inner, size, *offset, out_writer, err);
}

static int fault_write(struct blob_writer *writer, const void *bytes, size_t size,
                       struct error *err)
{
    int r = strike(writer->store, err);

    return r < 0 ? r : blob_writer_write(((struct fault_writer *)writer)->inner, bytes, size, err);
}

/* A writer that is neither suspended nor aborted: what a killed process leaves. The inner store is
 * told to suspend, which is the most that a crash can leave behind. */
static int fault_suspend(struct blob_writer *writer, struct error *err)
{
    struct fault_writer *self = (struct fault_writer *)writer;
    int r = strike(writer->store, err);
    int inner = blob_writer_suspend(self->inner, r < 0 ? NULL : err);

    memory_free(self);
    return r < 0 ? r : inner;
}

static int fault_commit(struct blob_writer *const *writers, size_t count, struct error *err)
{
    struct blob_writer *inner[1024];
    int r = strike(writers[0]->store, err);

    assert(count <= sizeof(inner) / sizeof(inner[0]));
    for (size_t i = 0; i < count; i++) {
        inner[i] = ((struct fault_writer *)writers[i])->inner;
        if (r < 0)
            blob_writer_suspend(inner[i], NULL);
    }
    if (r == 0)
        r = blob_writers_commit(inner, count, err);
    for (size_t i = 0; i < count; i++)
        memory_free((void *)writers[i]);
    return r;
}

static void fault_abort(struct blob_writer *writer)
{
    struct fault_writer *self = (struct fault_writer *)writer;

    if (strike(writer->store, NULL) < 0)
        blob_writer_suspend(self->inner, NULL);
    else
        blob_writer_abort(self->inner);
    memory_free(self);
}

static int fault_open(struct blob_store *store, const char *key, uint64_t offset, uint64_t size,
                      struct blob_reader *out_reader, struct error *err)
{
    struct blob_reader *inner;
    int r = strike(store, err);

    if (r == 0 && cast(store)->object_error < 0 && strcmp(cast(store)->object, key) == 0)
        r = error_set(err, cast(store)->object_error, "an object that cannot be read");
    if (r < 0)
        return r;
    inner = memory_new(sizeof(*inner));
    if (inner == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = blob_store_open(cast(store)->inner, key, offset, size, inner, err);
    if (r < 0) {
        memory_free(inner);
        return r;
    }
    *out_reader = *inner;
    out_reader->ops = &fault_ops;
    out_reader->state = inner;
    return 0;
}

static int fault_read(struct blob_reader *reader, uint64_t offset, void *out, size_t size,
                      struct error *err)
{
    return blob_reader_read(reader->state, offset, out, size, err);
}

static void fault_release(struct blob_reader *reader)
{
    blob_reader_release(reader->state);
    memory_free(reader->state);
}

static int fault_remove(struct blob_store *store, const char *key, struct error *err)
{
    int r = strike(store, err);

    if (r == 0 && cast(store)->removal_error < 0)
        r = error_set(err, cast(store)->removal_error, "a removal that fails");
    return r < 0 ? r : blob_store_remove(cast(store)->inner, key, err);
}

static int fault_set_aside(struct blob_store *store, const char *key, struct error *err)
{
    int r = strike(store, err);

    return r < 0 ? r : blob_store_set_aside(cast(store)->inner, key, err);
}

static int fault_list(struct blob_store *store, blob_store_each *each, void *context,
                      struct error *err)
{
    int r = strike(store, err);

    return r < 0 ? r : blob_store_list(cast(store)->inner, each, context, err);
}

static int fault_free_space(struct blob_store *store, uint64_t *out_bytes, struct error *err)
{
    if (cast(store)->left < UINT64_MAX) {
        *out_bytes = cast(store)->left;
        return 0;
    }
    return blob_store_free_space(cast(store)->inner, out_bytes, err);
}

static int fault_check(struct blob_store *store, struct error *err)
{
    int r = strike(store, err);

    return r < 0 ? r : blob_store_check(cast(store)->inner, err);
}

static void fault_free(struct blob_store *store)
{
    struct fault_store *self = cast(store);

    blob_store_free(self->inner);
    pthread_mutex_destroy(&self->lock);
    memory_free(self);
}

static const struct blob_store_ops fault_ops = {
    .name = "fault",
    .create = fault_create,
    .resume = fault_resume,
    .write = fault_write,
    .suspend = fault_suspend,
    .commit = fault_commit,
    .abort = fault_abort,
    .open = fault_open,
    .read = fault_read,
    .release = fault_release,
    .remove = fault_remove,
    .set_aside = fault_set_aside,
    .list = fault_list,
    .free_space = fault_free_space,
    .check = fault_check,
    .free = fault_free,
};

int fault_store_new(struct blob_store *inner, struct blob_store **out_store)
{
    struct fault_store *self = memory_new(sizeof(*self));

    if (self == NULL)
        return -ENOMEM;
    self->base.ops = &fault_ops;
    memcpy(self->base.id, inner->id, sizeof(self->base.id));
    self->inner = inner;
    self->fail_at = -1;
    self->left = UINT64_MAX;
    pthread_mutex_init(&self->lock, NULL);
    *out_store = &self->base;
    return 0;
}

void fault_store_fail(struct blob_store *store, int64_t after, int error, int for_ever)
{
    struct fault_store *self = cast(store);

    pthread_mutex_lock(&self->lock);
    self->fail_at = self->calls + after;
    self->error = error;
    self->for_ever = for_ever;
    self->failed = 0;
    pthread_mutex_unlock(&self->lock);
}

void fault_store_left(struct blob_store *store, uint64_t bytes)
{
    cast(store)->left = bytes;
}

void fault_store_heal(struct blob_store *store)
{
    struct fault_store *self = cast(store);

    pthread_mutex_lock(&self->lock);
    self->fail_at = -1;
    self->removal_error = 0;
    self->object_error = 0;
    pthread_mutex_unlock(&self->lock);
}

void fault_store_fail_object(struct blob_store *store, const char *key, int error)
{
    struct fault_store *self = cast(store);

    assert(strlen(key) < sizeof(self->object));
    pthread_mutex_lock(&self->lock);
    memcpy(self->object, key, strlen(key) + 1);
    self->object_error = error;
    pthread_mutex_unlock(&self->lock);
}

void fault_store_fail_removals(struct blob_store *store, int error)
{
    struct fault_store *self = cast(store);

    pthread_mutex_lock(&self->lock);
    self->removal_error = error;
    pthread_mutex_unlock(&self->lock);
}

int64_t fault_store_calls(const struct blob_store *store)
{
    return ((const struct fault_store *)store)->calls;
}

int fault_store_failed(const struct blob_store *store)
{
    return ((const struct fault_store *)store)->failed;
}
