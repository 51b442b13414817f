/* SPDX-License-Identifier: MIT */
#include "server/service/deposit.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/merkle.h"
#include "server/service/blob_fact.h"
#include "server/service/context.h"
#include "server/service/scratch.h"
#include "server/storage/blob_store.h"

#define READ_PIECE (256u << 10)

/* merkle_put into a block of memory that holds the whole object. */
static int put_in_memory(void *context, uint64_t object_offset, const void *bytes, size_t size,
                         struct error *err)
{
    memcpy((uint8_t *)context + object_offset, bytes, size);
    return 0;
}

static bool is_whole(struct services *services, const struct blob *blob)
{
    struct blob_reader reader;

    if (blob_store_open(services->store, blob->key, 0, blob->size, &reader, NULL) < 0)
        return false;
    blob_reader_release(&reader);
    return true;
}

int deposit_writer(struct services *services, const struct blob *blob, uint64_t offset,
                   struct blob_writer **out_writer, struct error *err)
{
    cleanup(blob_writer_abort_at) struct blob_writer *writer = NULL;
    uint64_t at = offset;
    int r = -EEXIST;

    if (offset == 0)
        r = blob_store_create(services->store, blob->key, blob->size, &writer, err);
    if (r == -EEXIST)
        r = blob_store_resume(services->store, blob->key, blob->size, &at, &writer, err);
    if (r == -ENOENT || r == -EEXIST || r == -EBADMSG) {
        if (is_whole(services, blob))
            return error_set(err, -EEXIST, "the object is finished");
        if (r == -ENOENT && offset > 0)
            return error_set(err, -ESTALE, "the store has lost what was received");
    }
    if (r < 0)
        return r;
    if (at != offset) {
        /* Left as it is: the caller starts again at 0, and cuts it then. */
        r = blob_writer_suspend(take_pointer(&writer), err);
        return r < 0 ? r : error_set(err, -ESTALE, "the store has lost part of what was received");
    }
    *out_writer = take_pointer(&writer);
    return 0;
}

static bool is_merkle_kept(const struct blob *blob)
{
    return blob->size > MERKLE_PIECE_SIZE;
}

/* A writer of the merkle object, filled; *out_writer is NULL when it is there already, from a
 * deposit that was cut short: it is a function of the blob, so it is the same. */
static int merkle_writer(struct services *services, const struct blob *blob, struct span merkle,
                         struct blob_writer **out_writer, struct error *err)
{
    cleanup(blob_writer_abort_at) struct blob_writer *writer = NULL;
    char key[BLOB_MERKLE_KEY_SIZE];
    struct blob_reader reader;
    uint64_t offset = 0;
    int r;

    blob_merkle_key(blob, key);
    r = blob_store_create(services->store, key, merkle.size, &writer, err);
    if (r == -EEXIST && blob_store_open(services->store, key, 0, merkle.size, &reader, NULL) == 0) {
        blob_reader_release(&reader);
        *out_writer = NULL;
        return 0;
    }
    if (r == -EEXIST)
        r = blob_store_resume(services->store, key, merkle.size, &offset, &writer, err);
    if (r == 0)
        r = blob_writer_write(writer, merkle.bytes, merkle.size, err);
    if (r < 0)
        return r;
    *out_writer = take_pointer(&writer);
    return 0;
}

void deposit_forsake(struct services *services, const struct blob *blob)
{
    char key[BLOB_MERKLE_KEY_SIZE];

    if (blob_key_is_used(services->database, blob->key, NULL) != 0)
        return;
    blob_merkle_key(blob, key);
    blob_store_remove(services->store, blob->key, NULL);
    blob_store_remove(services->store, key, NULL);
}

int deposit_done(struct services *services, int64_t push_number, const struct blob *blobs,
                 const struct blob_done *done, size_t count, struct error *err)
{
    int r = push_blobs_done(services->database, push_number, done, count, err);

    /* A blob that was lost or damaged is healed by this and has another key now. An object that is
     * open stays readable whatever became of its file: the old one would be served for ever. */
    for (size_t i = 0; i < count && r == 0; i++)
        blob_fact_forget(services, &done[i].sha256);
    for (size_t i = 0; i < count && r == -ENOENT; i++)
        deposit_forsake(services, &blobs[i]);
    return r;
}

static int make_live(struct services *services, int64_t push_number, const struct blob *blob,
                     const struct digest *verity, struct error *err)
{
    const struct blob_done done = { .sha256 = blob->sha256, .verity = *verity };

    return deposit_done(services, push_number, blob, &done, 1, err);
}

int deposit_commit(struct services *services, int64_t push_number, const struct blob *blob,
                   struct blob_writer *writer, struct span merkle, const struct digest *verity,
                   struct error *err)
{
    struct blob_writer *writers[2] = { writer, NULL };
    size_t count = 1;
    int r;

    if (is_merkle_kept(blob)) {
        r = merkle_writer(services, blob, merkle, &writers[1], err);
        if (r < 0) {
            blob_writer_abort(writer);
            return r;
        }
        count = writers[1] != NULL ? 2 : 1;
    }
    r = blob_writers_commit(writers, count, err);
    if (r < 0)
        return r;
    return make_live(services, push_number, blob, verity, err);
}

/* Reads the stored object once, for its SHA-256 and its merkle object. */
static int read_back(struct services *services, const struct blob *blob, uint8_t *object,
                     struct digest *out_sha256, struct digest *out_verity, struct error *err)
{
    cleanup_memory struct merkle_builder *builder = memory_new(sizeof(*builder));
    cleanup_memory uint8_t *piece = memory_new(READ_PIECE);
    struct digest_stream stream;
    struct blob_reader reader;
    int r;

    if (builder == NULL || piece == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = merkle_builder_init(builder, blob->size, put_in_memory, object, err);
    if (r == 0)
        r = blob_store_open(services->store, blob->key, 0, blob->size, &reader, err);
    if (r < 0)
        return r;
    digest_stream_init(&stream);
    for (uint64_t at = 0; at < blob->size && r == 0; at += READ_PIECE) {
        size_t size = blob->size - at < READ_PIECE ? (size_t)(blob->size - at) : READ_PIECE;

        r = blob_reader_read(&reader, at, piece, size, err);
        if (r == 0) {
            digest_stream_add(&stream, piece, size);
            r = merkle_builder_add(builder, piece, size, err);
        }
    }
    blob_reader_release(&reader);
    if (r == 0)
        r = merkle_builder_end(builder, NULL, out_verity, err);
    if (r == 0)
        *out_sha256 = digest_stream_end(&stream);
    return r;
}

static int store_merkle(struct services *services, const struct blob *blob, struct span merkle,
                        struct error *err)
{
    struct blob_writer *writer = NULL;
    int r;

    if (!is_merkle_kept(blob))
        return 0;
    r = merkle_writer(services, blob, merkle, &writer, err);
    if (r < 0 || writer == NULL)
        return r;
    return blob_writer_commit(writer, err);
}

int deposit_merkle(struct services *services, const struct blob *blob, struct digest *out_verity,
                   struct error *err)
{
    cleanup(scratch_release) struct scratch object = { 0 };
    struct merkle_shape shape;
    struct digest sha256, verity;
    int r = merkle_shape_of(blob->size, &shape, err);

    if (r == 0)
        r = scratch_map(services->scratch_path, shape.object_size, &object, err);
    if (r == 0)
        r = read_back(services, blob, object.bytes, &sha256, &verity, err);
    if (r < 0)
        return r;
    if (!digest_equal(&sha256, &blob->sha256))
        return error_set(err, -EBADMSG, "the store gave back other bytes than it was given");
    r = store_merkle(services, blob, span_of(object.bytes, object.size), err);
    if (r == 0 && out_verity != NULL)
        *out_verity = verity;
    return r;
}

int deposit_finish(struct services *services, int64_t push_number, const struct blob *blob,
                   struct blob_writer *writer, struct error *err)
{
    struct digest verity;
    int r = 0;

    if (writer != NULL)
        r = blob_writer_commit(writer, err);
    if (r == 0)
        r = deposit_merkle(services, blob, &verity, err);
    if (r == -EBADMSG)
        blob_store_remove(services->store, blob->key, NULL);
    if (r < 0)
        return r;
    return make_live(services, push_number, blob, &verity, err);
}

static int write_bytes(struct services *services, int64_t push_number, const struct blob *blob,
                       struct span bytes, struct error *err)
{
    cleanup(blob_writer_abort_at) struct blob_writer *writer = NULL;
    cleanup(scratch_release) struct scratch object = { 0 };
    struct merkle_shape shape;
    struct digest verity;
    int r;

    r = deposit_writer(services, blob, 0, &writer, err);
    if (r == -EEXIST)
        return deposit_finish(services, push_number, blob, NULL, err);
    if (r == 0)
        r = merkle_shape_of(bytes.size, &shape, err);
    if (r == 0)
        r = scratch_map(services->scratch_path, shape.object_size, &object, err);
    if (r == 0)
        r = merkle_build(bytes, object.bytes, NULL, &verity, err);
    for (size_t at = 0; at < bytes.size && r == 0; at += READ_PIECE) {
        struct span piece = span_slice(bytes, at, READ_PIECE);

        r = blob_writer_write(writer, piece.bytes, piece.size, err);
    }
    if (r < 0)
        return r;
    return deposit_commit(services, push_number, blob, take_pointer(&writer),
                          span_of(object.bytes, object.size), &verity, err);
}

int deposit_bytes(struct services *services, int64_t push_number, const struct blob_scope *scope,
                  const struct digest *sha256, struct span bytes, struct error *err)
{
    const struct blob_want want = { .sha256 = *sha256, .size = bytes.size };
    struct push_blob row;
    bool missing;
    int r = push_blobs_want(services->database, push_number, scope, &want, 1, &missing, err);

    if (r == 0)
        r = push_blob_get(services->database, push_number, sha256, &row, err);
    if (r < 0)
        return r;
    if (row.blob.state == BLOB_LIVE)
        return 0;
    return write_bytes(services, push_number, &row.blob, bytes, err);
}
