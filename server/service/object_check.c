/* SPDX-License-Identifier: MIT */
#include "server/service/object_check.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/merkle.h"
#include "server/db/blobs.h"
#include "server/storage/blob_store.h"

#define READ_PIECE (256u << 10)

struct checking {
    struct blob_store *store;
    const struct blob *blob;
    object_check_go_on *go_on;
    void *context;
    struct blob_reader merkle;
    bool merkle_differs;
    bool is_ended; /* by go_on */
    struct digest_stream stream;
    struct merkle_builder builder;
    uint8_t piece[READ_PIECE];
};

bool object_is_unreadable(int result)
{
    switch (result) {
    case -EIO:
    case -EBADMSG:
    case -EINVAL:
    case -ENOENT:
    case -EACCES:
    case -EPERM:
    case -ELOOP:
        return true;
    default:
        return false;
    }
}

static int go_on(struct checking *self, struct error *err)
{
    int r = self->go_on(self->context, err);

    self->is_ended |= r < 0;
    return r;
}

/* 1: an object of that size; 0: none, or another size (*out says which). */
static int open_object(struct blob_store *store, const char *key, uint64_t size,
                       struct blob_reader *out_reader, enum object_verdict *out, struct error *err)
{
    int r = blob_store_open(store, key, 0, UINT64_MAX, out_reader, err);

    if (r == -ENOENT) {
        *out = OBJECT_MISSING;
        return 0;
    }
    if (r < 0)
        return r;
    if (out_reader->size == size)
        return 1;
    blob_reader_release(out_reader);
    *out = OBJECT_WRONG;
    return 0;
}

static int compare_block(void *context, uint64_t offset, const void *bytes, size_t size,
                         struct error *err)
{
    struct checking *self = context;
    uint8_t stored[MERKLE_BLOCK_SIZE];
    int r = 0;

    if (self->merkle.ops == NULL)
        return 0;
    while (r == 0 && size > 0) {
        const size_t part = size < sizeof(stored) ? size : sizeof(stored);

        r = blob_reader_read(&self->merkle, offset, stored, part, err);
        if (r == 0 && memcmp(stored, bytes, part) != 0)
            self->merkle_differs = true;
        offset += part;
        size -= part;
        bytes = (const uint8_t *)bytes + part;
    }
    return r;
}

static int read_all(struct checking *self, struct blob_reader *reader, struct error *err)
{
    int r = 0;

    for (uint64_t at = 0; r == 0 && at < self->blob->size;) {
        const uint64_t left = self->blob->size - at;
        const size_t size = left < READ_PIECE ? (size_t)left : READ_PIECE;

        r = go_on(self, err);
        if (r == 0)
            r = blob_reader_read(reader, at, self->piece, size, err);
        if (r == 0) {
            digest_stream_add(&self->stream, self->piece, size);
            r = merkle_builder_add(&self->builder, self->piece, size, err);
        }
        at += size;
    }
    return r;
}

static int measure_all(struct checking *self, struct blob_reader *reader, struct digest *out_sha256,
                       struct digest *out_verity, struct error *err)
{
    int r;

    digest_stream_init(&self->stream);
    r = merkle_builder_init(&self->builder, self->blob->size, compare_block, self, err);
    if (r == 0)
        r = read_all(self, reader, err);
    if (r == 0)
        r = merkle_builder_end(&self->builder, NULL, out_verity, err);
    if (r == 0)
        *out_sha256 = digest_stream_end(&self->stream);
    return r;
}

static int compare_all(struct checking *self, struct blob_reader *reader, enum object_verdict *out,
                       struct error *err)
{
    struct digest sha256, verity;
    int r = measure_all(self, reader, &sha256, &verity, err);

    if (r < 0)
        return r;
    *out = digest_equal(&sha256, &self->blob->sha256) &&
                   digest_equal(&verity, &self->blob->verity) && !self->merkle_differs
               ? OBJECT_RIGHT
               : OBJECT_WRONG;
    return 0;
}

/* 1: it is there, or not needed. A blob without its merkle object cannot be verified by whoever
 * reads a part of it: for that it is as good as wrong. */
static int open_merkle(struct checking *self, enum object_verdict *out, struct error *err)
{
    char key[BLOB_MERKLE_KEY_SIZE];
    struct merkle_shape shape;
    int r;

    if (self->blob->size <= MERKLE_PIECE_SIZE)
        return 1;
    blob_merkle_key(self->blob, key);
    r = merkle_shape_of(self->blob->size, &shape, err);
    if (r == 0)
        r = open_object(self->store, key, shape.object_size, &self->merkle, out, err);
    if (r == 0)
        *out = OBJECT_WRONG;
    return r;
}

/* KEY, KEY.m, KEY.c, KEY.n. */
bool object_row_key(const char *name, char out[BLOB_STORAGE_KEY_SIZE])
{
    const size_t size = strlen(name), key_size = BLOB_STORAGE_KEY_SIZE - 1;

    if (size != key_size && !(size == key_size + 2 && name[key_size] == '.' &&
                              strchr("mcn", name[key_size + 1]) != NULL))
        return false;
    memcpy(out, name, key_size);
    out[key_size] = '\0';
    return true;
}

static int look(struct checking *self, bool whole, enum object_verdict *out, struct error *err)
{
    cleanup(blob_reader_release) struct blob_reader reader = { 0 };
    const struct blob *blob = self->blob;
    int r = go_on(self, err);

    if (r == 0)
        r = open_object(self->store, blob->key, blob->size, &reader, out, err);
    if (r == 1)
        r = open_merkle(self, out, err);
    if (r == 1) {
        *out = OBJECT_RIGHT;
        r = whole ? compare_all(self, &reader, out, err) : 0;
    }
    return r;
}

int object_check(struct blob_store *store, const struct blob *blob, bool whole,
                 object_check_go_on *step, void *context, enum object_verdict *out,
                 struct error *err)
{
    cleanup_memory struct checking *self = memory_new(sizeof(*self));
    struct error fault;
    int r;

    if (self == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    *self = (struct checking){ .store = store, .blob = blob, .go_on = step, .context = context };
    r = look(self, whole, out, &fault);
    blob_reader_release(&self->merkle);
    if (r < 0 && !self->is_ended && object_is_unreadable(r)) {
        *out = OBJECT_UNREADABLE;
        r = 0;
    }
    if (r < 0 && err != NULL)
        *err = fault;
    return r;
}

int object_measure(struct blob_store *store, const char *key, uint64_t size,
                   object_check_go_on *step, void *context, struct blob *out_blob,
                   enum object_verdict *out, struct error *err)
{
    cleanup_memory struct checking *self = memory_new(sizeof(*self));
    cleanup(blob_reader_release) struct blob_reader reader = { 0 };
    struct blob blob = { .size = size, .state = BLOB_LIVE };
    int r;

    if (self == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    memcpy(blob.key, key, strlen(key) + 1);
    *self = (struct checking){ .store = store, .blob = &blob, .go_on = step, .context = context };
    r = open_object(store, key, size, &reader, out, err);
    if (r == 1)
        r = open_merkle(self, out, err);
    if (r == 1) {
        r = measure_all(self, &reader, &blob.sha256, &blob.verity, err);
        *out = self->merkle_differs ? OBJECT_WRONG : OBJECT_RIGHT;
    }
    blob_reader_release(&self->merkle);
    if (r == 0)
        *out_blob = blob;
    return r;
}
