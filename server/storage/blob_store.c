/* SPDX-License-Identifier: MIT */
#include "server/storage/blob_store.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/base/error.h"

bool blob_key_is_valid(const char *key)
{
    size_t size = strlen(key);

    if (size < BLOB_KEY_MIN || size > BLOB_KEY_MAX)
        return false;
    for (size_t i = 0; i < size; i++) {
        bool is_plain = (key[i] >= 'a' && key[i] <= 'z') || (key[i] >= '0' && key[i] <= '9');

        if (!is_plain && (i < 4 || (key[i] != '.' && key[i] != '-')))
            return false;
    }
    return true;
}

static int key_check(const char *key, struct error *err)
{
    return blob_key_is_valid(key) ? 0 : error_set(err, -EINVAL, "\"%s\" is no storage key", key);
}

struct blob_store *blob_store_free(struct blob_store *store)
{
    if (store != NULL)
        store->ops->free(store);
    return NULL;
}

void blob_store_free_at(struct blob_store **at)
{
    *at = blob_store_free(*at);
}

const char *blob_store_name(const struct blob_store *store)
{
    return store->ops->name;
}

const char *blob_store_id(const struct blob_store *store)
{
    return store->id;
}

static void writer_begin(struct blob_writer *writer, struct blob_store *store, uint64_t size,
                         uint64_t written)
{
    writer->store = store;
    writer->size = size;
    writer->written = written;
    writer->failure = 0;
}

int blob_store_create(struct blob_store *store, const char *key, uint64_t size,
                      struct blob_writer **out_writer, struct error *err)
{
    struct blob_writer *writer;
    int r = key_check(key, err);

    if (r >= 0)
        r = store->ops->create(store, key, size, &writer, err);
    if (r < 0)
        return r;
    writer_begin(writer, store, size, 0);
    *out_writer = writer;
    return 0;
}

int blob_store_resume(struct blob_store *store, const char *key, uint64_t size, uint64_t *offset,
                      struct blob_writer **out_writer, struct error *err)
{
    struct blob_writer *writer;
    uint64_t at = *offset < size ? *offset : size;
    int r = key_check(key, err);

    if (r >= 0)
        r = store->ops->resume(store, key, size, &at, &writer, err);
    if (r < 0)
        return r;
    writer_begin(writer, store, size, at);
    *offset = at;
    *out_writer = writer;
    return 0;
}

int blob_writer_write(struct blob_writer *writer, const void *bytes, size_t size, struct error *err)
{
    int r;

    if (writer->failure < 0)
        return error_set(err, writer->failure, "an earlier write of this object failed");
    if (size > writer->size - writer->written)
        return error_set(err, -EFBIG, "more than the %" PRIu64 " bytes that were promised",
                         writer->size);
    if (size == 0)
        return 0;
    r = writer->store->ops->write(writer, bytes, size, err);
    if (r < 0)
        writer->failure = r;
    else
        writer->written += size;
    return r;
}

uint64_t blob_writer_offset(const struct blob_writer *writer)
{
    return writer->written;
}

int blob_writer_suspend(struct blob_writer *writer, struct error *err)
{
    return writer->store->ops->suspend(writer, err);
}

int blob_writer_commit(struct blob_writer *writer, struct error *err)
{
    return blob_writers_commit(&writer, 1, err);
}

int blob_writers_commit(struct blob_writer *const *writers, size_t count, struct error *err)
{
    int r = 0;

    if (count == 0)
        return 0;
    for (size_t i = 0; i < count && r >= 0; i++) {
        if (writers[i]->failure < 0)
            r = error_set(err, writers[i]->failure, "a write of the object failed");
        else if (writers[i]->written != writers[i]->size)
            r = error_set(err, -EBADMSG, "%" PRIu64 " of %" PRIu64 " bytes were written",
                          writers[i]->written, writers[i]->size);
    }
    if (r >= 0)
        return writers[0]->store->ops->commit(writers, count, err);
    for (size_t i = 0; i < count; i++)
        blob_writer_abort(writers[i]);
    return r;
}

struct blob_writer *blob_writer_abort(struct blob_writer *writer)
{
    if (writer != NULL)
        writer->store->ops->abort(writer);
    return NULL;
}

void blob_writer_abort_at(struct blob_writer **at)
{
    *at = blob_writer_abort(*at);
}

int blob_store_open(struct blob_store *store, const char *key, uint64_t offset, uint64_t size,
                    struct blob_reader *out_reader, struct error *err)
{
    struct blob_reader reader = { .fd = -1 };
    int r = key_check(key, err);

    if (r >= 0)
        r = store->ops->open(store, key, offset, size, &reader, err);
    if (r < 0)
        return r;
    reader.ops = store->ops;
    *out_reader = reader;
    return 0;
}

int blob_reader_read(struct blob_reader *reader, uint64_t offset, void *out, size_t size,
                     struct error *err)
{
    if (offset > reader->size || size > reader->size - offset)
        return error_set(err, -EINVAL, "a read beyond the range that was opened");
    return size == 0 ? 0 : reader->ops->read(reader, offset, out, size, err);
}

void blob_reader_release(struct blob_reader *reader)
{
    if (reader->ops != NULL)
        reader->ops->release(reader);
    *reader = (struct blob_reader){ .fd = -1 };
}

int blob_store_remove(struct blob_store *store, const char *key, struct error *err)
{
    int r = key_check(key, err);

    return r < 0 ? r : store->ops->remove(store, key, err);
}

int blob_store_set_aside(struct blob_store *store, const char *key, struct error *err)
{
    int r = key_check(key, err);

    return r < 0 ? r : store->ops->set_aside(store, key, err);
}

int blob_store_list(struct blob_store *store, blob_store_each *each, void *context,
                    struct error *err)
{
    return store->ops->list(store, each, context, err);
}

int blob_store_free_space(struct blob_store *store, uint64_t *out_bytes, struct error *err)
{
    return store->ops->free_space(store, out_bytes, err);
}

int blob_store_check(struct blob_store *store, struct error *err)
{
    return store->ops->check(store, err);
}
