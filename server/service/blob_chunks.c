/* SPDX-License-Identifier: MIT */
#include "server/service/blob_chunks.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/service/blob_fact.h"
#include "server/service/context.h"
#include "server/service/memo.h"
#include "server/service/object.h"
#include "server/service/refusal.h"
#include "server/service/side_task.h"
#include "server/storage/blob_store.h"

#define KEY_SIZE (BLOB_STORAGE_KEY_SIZE + 2)
#define READ_PIECE (1u << 20)

bool blob_chunks_possible(const struct blob *blob)
{
    return blob->size >= CHUNK_LIST_MIN_SIZE && blob->size <= CHUNK_LIST_MAX_SIZE;
}

void blob_chunks_key(const char *key, char *out)
{
    size_t size = strlen(key);

    memcpy(out, key, size);
    memcpy(out + size, ".c", 3);
}

void blob_chunks_release(struct blob_chunks *chunks)
{
    object_unref(chunks->object);
    scratch_release(&chunks->scratch);
    *chunks = (struct blob_chunks){ .object = NULL };
}

void blob_chunks_forget(struct services *services, const struct blob *blob)
{
    char key[KEY_SIZE];

    blob_chunks_key(blob->key, key);
    memo_forget(services->objects, span_text(key));
    blob_store_remove(services->store, key, NULL);
}

static int check(struct span bytes, const struct blob *blob, struct chunk_list *out,
                 struct error *err)
{
    struct chunk_list list;
    int r = chunk_list_open(bytes, &list, err);

    if (r < 0)
        return r;
    if (list.shape.size != blob->size || !digest_equal(&list.shape.sha256, &blob->sha256))
        return error_set(err, -EBADMSG, "the chunk list of another blob");
    *out = list;
    return 0;
}

int blob_chunks_find(struct services *services, const struct blob *blob, struct blob_chunks *out,
                     struct error *err)
{
    cleanup(object_unref_at) struct object *object = NULL;
    char key[KEY_SIZE];
    struct span bytes;
    int r;

    blob_chunks_key(blob->key, key);
    r = object_open(services, key, UINT64_MAX, &object, err);
    if (r == 0)
        r = object_bytes(object, &bytes, err);
    if (r == 0)
        r = check(bytes, blob, &out->list, err);
    if (r == -EBADMSG)
        blob_chunks_forget(services, blob);
    if (r < 0)
        return r;
    out->object = take_pointer(&object);
    return 0;
}

/* Records on their way: a place for each level, as large as it can become. */
struct making {
    struct scratch room;
    size_t begin[CHUNK_LIST_MAX_LEVELS];
    size_t size[CHUNK_LIST_MAX_LEVELS];
};

static int put(void *context, uint32_t level, const void *records, size_t size, struct error *err)
{
    struct making *making = context;

    memcpy(making->room.bytes + making->begin[level] + making->size[level], records, size);
    making->size[level] += size;
    return 0;
}

/* Every chunk but the last has more than 4096 bytes, every group but the last 16 records. */
static int making_init(struct making *making, struct services *services, uint64_t blob_size,
                       struct error *err)
{
    uint64_t records = blob_size / 4096 + 1, total = 0;

    *making = (struct making){ .room = { NULL, 0 } };
    for (uint32_t level = 0; level < CHUNK_LIST_MAX_LEVELS; level++) {
        making->begin[level] = (size_t)total;
        total += records * chunk_record_size(level);
        records = records / CHUNK_GROUP_MIN + 1;
    }
    return scratch_map(services->scratch_path, total, &making->room, err);
}

static void making_release(struct making *making)
{
    scratch_release(&making->room);
}

/* A piece on its way through the builder. */
struct cutting {
    struct chunk_list_builder *builder;
    const uint8_t *bytes;
    size_t size;
};

static int cut_piece(void *context, struct error *err)
{
    struct cutting *cutting = context;

    return chunk_list_builder_add(cutting->builder, cutting->bytes, cutting->size, err);
}

/* One piece is cut while the next is read. */
static int read_pieces(struct object *object, uint64_t size, struct chunk_list_builder *builder,
                       struct side_task *side, uint8_t *pieces, struct error *err)
{
    struct cutting cutting = { .builder = builder };
    int r = 0, c = 0;

    for (uint64_t at = 0; r == 0 && c == 0 && at < size; at += READ_PIECE) {
        size_t part = size - at < READ_PIECE ? (size_t)(size - at) : READ_PIECE;
        uint8_t *piece = pieces + at / READ_PIECE % 2 * READ_PIECE;

        r = object_read(object, at, piece, part, err);
        c = side_task_wait(side, r < 0 ? NULL : err);
        if (r < 0 || c < 0)
            break;
        cutting.bytes = piece;
        cutting.size = part;
        side_task_start(side, cut_piece, &cutting);
    }
    if (r == 0 && c == 0)
        c = side_task_wait(side, err);
    return r < 0 ? r : c;
}

static int read_blob(struct services *services, struct object *object, uint64_t size,
                     struct chunk_list_builder *builder, struct error *err)
{
    cleanup_memory uint8_t *pieces = memory_resize(NULL, READ_PIECE, 2);
    cleanup(side_task_release) struct side_task side;

    side_task_init(&side, services->side_workers);
    if (pieces == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    return read_pieces(object, size, builder, &side, pieces, err);
}

/* Header, then the levels from the top down to the leaves. */
static int assemble(struct services *services, const struct making *making,
                    const uint8_t header[CHUNK_LIST_HEADER_SIZE], struct scratch *out,
                    struct error *err)
{
    struct chunk_list_shape shape;
    int r = chunk_list_shape_of(span_of(header, CHUNK_LIST_HEADER_SIZE), &shape, err);

    if (r == 0)
        r = scratch_map(services->scratch_path, shape.object_size, out, err);
    if (r < 0)
        return r;
    memcpy(out->bytes, header, CHUNK_LIST_HEADER_SIZE);
    for (uint32_t level = 0; level < shape.level_count; level++)
        memcpy(out->bytes + shape.level_offset[level], making->room.bytes + making->begin[level],
               making->size[level]);
    return 0;
}

static int make(struct services *services, const struct blob *blob, struct scratch *out,
                struct refusal *why, struct error *err)
{
    cleanup_memory struct chunk_list_builder *builder = memory_new(sizeof(*builder));
    cleanup(object_unref_at) struct object *object = NULL;
    cleanup(making_release) struct making making = { .room = { NULL, 0 } };
    uint8_t header[CHUNK_LIST_HEADER_SIZE];
    int r;

    if (builder == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = blob_object_open(services, blob, &object, why, err);
    if (r == 0)
        r = making_init(&making, services, blob->size, err);
    if (r < 0)
        return r;
    chunk_list_builder_init(builder, put, &making);
    r = read_blob(services, object, blob->size, builder, err);
    if (r < 0)
        return r == -ENOMEM ? r : blob_object_failed(services, blob, r, why, err);
    r = chunk_list_builder_end(builder, &blob->sha256, header, err);
    return r < 0 ? r : assemble(services, &making, header, out, err);
}

/* Half of one, from a crash, is gone on with; one that another thread has open is left alone. */
static int keep(struct services *services, const struct blob *blob, struct span bytes,
                struct error *err)
{
    cleanup(blob_writer_abort_at) struct blob_writer *writer = NULL;
    uint64_t offset = 0;
    char key[KEY_SIZE];
    int r;

    blob_chunks_key(blob->key, key);
    r = blob_store_create(services->store, key, bytes.size, &writer, err);
    if (r == -EEXIST)
        r = blob_store_resume(services->store, key, bytes.size, &offset, &writer, err);
    if (r == -EBADMSG)
        blob_store_remove(services->store, key, NULL);
    for (size_t at = 0; r == 0 && at < bytes.size; at += READ_PIECE) {
        struct span piece = span_slice(bytes, at, READ_PIECE);

        r = blob_writer_write(writer, piece.bytes, piece.size, err);
    }
    if (r == 0)
        r = blob_writer_commit(take_pointer(&writer), err);
    return r;
}

int blob_chunks_open(struct services *services, const struct blob *blob, struct blob_chunks *out,
                     struct refusal *why, struct error *err)
{
    cleanup(blob_chunks_release) struct blob_chunks chunks = { .object = NULL };
    int r = blob_chunks_find(services, blob, &chunks, NULL);

    if (r < 0) {
        r = make(services, blob, &chunks.scratch, why, err);
        if (r == 0)
            r = check(span_of(chunks.scratch.bytes, chunks.scratch.size), blob, &chunks.list, err);
        if (r < 0)
            return r;
        keep(services, blob, span_of(chunks.scratch.bytes, chunks.scratch.size), NULL);
    }
    *out = chunks;
    chunks = (struct blob_chunks){ .object = NULL };
    return 0;
}
