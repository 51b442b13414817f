/* SPDX-License-Identifier: MIT */
#include "fs/reader/reader.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/client/tree_fetch.h"
#include "common/net/http_loop.h"

#define RECENT 32

struct recent {
    struct blob_object *object; /* NULL: free */
    struct digest sha256;
    uint64_t used;
};

struct reader {
    struct http_loop *loop;
    struct blob_fetch *engine;
    pthread_mutex_t lock;
    struct recent recent[RECENT];
    uint64_t uses;
};

int reader_new(struct reader **out_reader, struct http_loop *loop, struct blob_fetch *engine,
               struct error *err)
{
    struct reader *reader = memory_new(sizeof(*reader));

    if (reader == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    reader->loop = loop;
    reader->engine = engine;
    pthread_mutex_init(&reader->lock, NULL);
    *out_reader = reader;
    return 0;
}

struct reader *reader_free(struct reader *reader)
{
    if (reader == NULL)
        return NULL;
    for (size_t i = 0; i < RECENT; i++)
        blob_object_unref(reader->recent[i].object);
    pthread_mutex_destroy(&reader->lock);
    return memory_free(reader);
}

static struct blob_object *find_recent(struct reader *reader, const struct digest *sha256,
                                       uint64_t size)
{
    struct blob_object *found = NULL;

    pthread_mutex_lock(&reader->lock);
    for (size_t i = 0; i < RECENT && found == NULL; i++) {
        struct recent *recent = &reader->recent[i];
        if (recent->object != NULL && digest_equal(&recent->sha256, sha256) &&
            blob_object_key(recent->object)->size == size) {
            recent->used = ++reader->uses;
            found = blob_object_ref(recent->object);
        }
    }
    pthread_mutex_unlock(&reader->lock);
    return found;
}

static void keep_recent(struct reader *reader, const struct digest *sha256,
                        struct blob_object *object)
{
    struct recent *oldest = &reader->recent[0];
    struct blob_object *old;

    pthread_mutex_lock(&reader->lock);
    for (size_t i = 1; i < RECENT; i++)
        if (reader->recent[i].used < oldest->used)
            oldest = &reader->recent[i];
    old = oldest->object;
    *oldest = (struct recent){ blob_object_ref(object), *sha256, ++reader->uses };
    pthread_mutex_unlock(&reader->lock);
    blob_object_unref(old);
}

/* A reference. */
static int object_of(struct reader *reader, const struct reader_file *file,
                     const struct reader_digests *digests, struct blob_object **out_object,
                     struct error *err)
{
    struct blob_object *object = find_recent(reader, &digests->sha256, file->size);
    int r = 0;

    if (object == NULL) {
        r = tree_fetch_object(file->fetch, &digests->sha256, &digests->verity, file->size, &object,
                              err);
        if (r == 0)
            keep_recent(reader, &digests->sha256, object);
    }
    if (r == 0)
        *out_object = object;
    return r;
}

int reader_try(struct reader *reader, const struct reader_file *file, uint64_t offset, void *out,
               size_t size)
{
    struct blob_object *object = NULL;
    struct reader_digests digests;
    int r = reader_digests_try(file, &digests.sha256, &digests.verity);

    if (r == 0)
        r = object_of(reader, file, &digests, &object, NULL);
    if (r == 0)
        r = blob_fetch_try_cached(object, offset, out, size);
    blob_object_unref(object);
    return r;
}

struct reading {
    struct reader *reader;
    struct reader_file file;
    struct reader_digests *wanted; /* only these, or NULL: the bytes */
    uint64_t offset;
    void *out;
    size_t size;
    uint64_t deadline_ms;
    blob_read_done *done;
    void *context;
    struct blob_object *object;
    struct http_post post;
};

static void finish(void *context, int result, const struct error *err)
{
    struct reading *reading = context;
    blob_read_done *done = reading->done;
    void *done_context = reading->context;

    blob_object_unref(reading->object);
    memory_free(reading);
    done(done_context, result, err);
}

static void go_on(struct reading *reading, const struct reader_digests *digests)
{
    struct error err = { 0 };
    int r;

    if (reading->wanted != NULL) {
        *reading->wanted = *digests;
        finish(reading, 0, NULL);
        return;
    }
    r = object_of(reading->reader, &reading->file, digests, &reading->object, &err);
    if (r == 0)
        r = blob_fetch_read(reading->object, reading->offset, reading->out, reading->size,
                            reading->deadline_ms, finish, reading, NULL, &err);
    if (r < 0)
        finish(reading, r, &err);
}

static void digests_came(void *context, int result, const struct digest *sha256,
                         const struct digest *verity, const struct error *err)
{
    struct reading *reading = context;
    struct reader_digests digests;

    if (result < 0) {
        finish(reading, result, err);
        return;
    }
    digests = (struct reader_digests){ *sha256, *verity };
    go_on(reading, &digests);
}

static void start(void *context)
{
    struct reading *reading = context;
    struct reader_digests digests;
    struct error err = { 0 };
    int r;

    if (reader_digests_try(&reading->file, &digests.sha256, &digests.verity) == 0) {
        go_on(reading, &digests);
        return;
    }
    r = tree_fetch_digest_start(reading->file.fetch, reading->file.digest_index,
                                reading->deadline_ms, digests_came, reading, &err);
    if (r < 0)
        finish(reading, r, &err);
}

static int post_reading(const struct reading *reading, struct error *err)
{
    struct reading *copy = memory_copy(reading, sizeof(*reading));

    if (copy == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    copy->post = (struct http_post){ .function = start, .context = copy };
    http_loop_post_at(copy->reader->loop, &copy->post);
    return 0;
}

int reader_start(struct reader *reader, const struct reader_file *file, uint64_t offset, void *out,
                 size_t size, uint64_t deadline_ms, blob_read_done *done, void *context,
                 struct error *err)
{
    struct reading reading = { .reader = reader,
                               .file = *file,
                               .offset = offset,
                               .out = out,
                               .size = size,
                               .deadline_ms = deadline_ms,
                               .done = done,
                               .context = context };

    return post_reading(&reading, err);
}

int reader_digests_try(const struct reader_file *file, struct digest *out_sha256,
                       struct digest *out_verity)
{
    return tree_fetch_digest(file->fetch, file->digest_index, out_sha256, out_verity);
}

int reader_digests_start(struct reader *reader, const struct reader_file *file,
                         struct reader_digests *out, uint64_t deadline_ms, blob_read_done *done,
                         void *context, struct error *err)
{
    struct reading reading = { .reader = reader,
                               .file = *file,
                               .wanted = out,
                               .deadline_ms = deadline_ms,
                               .done = done,
                               .context = context };

    return post_reading(&reading, err);
}

int reader_complete_entry(const struct reader_file *file, struct blob_entry **out_entry)
{
    struct blob_object *object = NULL;
    struct reader_digests digests;
    int r = reader_digests_try(file, &digests.sha256, &digests.verity);

    if (r == 0)
        r = tree_fetch_object(file->fetch, &digests.sha256, &digests.verity, file->size, &object,
                              NULL);
    if (r == 0 && !blob_entry_is_sealed(blob_object_entry(object)))
        r = -EAGAIN;
    if (r == 0)
        *out_entry = blob_entry_ref(blob_object_entry(object));
    blob_object_unref(object);
    return r;
}

int reader_cached_bytes(struct reader *reader, const struct reader_file *file, uint64_t *out_bytes)
{
    struct blob_object *object = NULL;
    struct digest sha256, verity;
    int r = tree_fetch_digest(file->fetch, file->digest_index, &sha256, &verity);

    if (r == 0) /* not among the recent ones: a look at a whole version would push those out */
        r = tree_fetch_object(file->fetch, &sha256, &verity, file->size, &object, NULL);
    if (r == 0)
        *out_bytes = blob_entry_cached_bytes(blob_object_entry(object));
    blob_object_unref(object);
    return r;
}
