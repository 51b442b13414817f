/* SPDX-License-Identifier: MIT */
#include "server/service/object_copy.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/merkle.h"
#include "common/model/record.h"
#include "server/db/blob_walk.h"
#include "server/db/versions.h"
#include "server/service/record_store.h"
#include "server/storage/blob_store.h"

#define PAGE 200
#define PIECE ((size_t)256 << 10)
#define BATCH 64 /* objects that are made durable together */
#define LACKING_MAX 1000

struct copying {
    struct object_copy *copy;
    struct blob_writer *writers[BATCH];
    size_t count;
    bool is_from; /* the last failure was that of reading */
    uint8_t piece[PIECE];
};

static int flush(struct copying *self, struct error *err)
{
    const size_t count = self->count;

    self->count = 0;
    return count == 0 ? 0 : blob_writers_commit(self->writers, count, err);
}

static void name_lacking(struct object_copy *copy, const char *what, const char *key)
{
    if (copy->lacking_count == LACKING_MAX)
        return;
    buf_format(copy->lacking, "%s\"%s: %s\"", copy->lacking_count++ > 0 ? "," : "", what, key);
}

/* A store that was unmounted in the middle has lost nothing. */
static int note_unreadable(struct object_copy *copy, const char *name, struct error *err)
{
    int r = blob_store_check(copy->from, err);

    copy->unreadable++;
    name_lacking(copy, "unreadable", name);
    return r;
}

/* 1: `to` has it, in that size. A shorter one is no object of ours: it goes. */
static int is_there(struct object_copy *copy, const char *name, uint64_t size, struct error *err)
{
    cleanup(blob_reader_release) struct blob_reader reader = { 0 };
    int r = blob_store_open(copy->to, name, 0, UINT64_MAX, &reader, err);

    if (r < 0)
        return r == -ENOENT ? 0 : r;
    if (reader.size == size)
        return 1;
    return blob_store_remove(copy->to, name, err);
}

/* One that a kill left unfinished is written again. */
static int begin(struct object_copy *copy, const char *name, uint64_t size,
                 struct blob_writer **out, struct error *err)
{
    uint64_t offset = 0;
    int r = blob_store_create(copy->to, name, size, out, err);

    return r == -EEXIST ? blob_store_resume(copy->to, name, size, &offset, out, err) : r;
}

static int copy_bytes(struct copying *self, struct blob_reader *reader, struct blob_writer *writer,
                      struct error *err)
{
    struct object_copy *copy = self->copy;
    int r = 0;

    for (uint64_t at = 0; r == 0 && at < reader->size;) {
        const uint64_t left = reader->size - at;
        const size_t size = left < PIECE ? (size_t)left : PIECE;

        r = copy->go_on(copy->context, err);
        if (r == 0) {
            r = blob_reader_read(reader, at, self->piece, size, err);
            self->is_from = r < 0;
        }
        if (r == 0)
            r = blob_writer_write(writer, self->piece, size, err);
        at += size;
    }
    return r;
}

/* What `from` has; -ENOENT. */
static int copy_object(struct copying *self, const char *name, struct error *err)
{
    cleanup(blob_reader_release) struct blob_reader reader = { 0 };
    cleanup(blob_writer_abort_at) struct blob_writer *writer = NULL;
    struct object_copy *copy = self->copy;
    int r = blob_store_open(copy->from, name, 0, UINT64_MAX, &reader, err);

    self->is_from = r < 0;
    if (r == 0)
        r = is_there(copy, name, reader.size, err);
    if (r != 0) {
        copy->objects += r > 0;
        return r < 0 ? r : 0;
    }
    r = begin(copy, name, reader.size, &writer, err);
    if (r == 0)
        r = copy_bytes(self, &reader, writer, err);
    if (r < 0)
        return error_prefix(err, r, "%s", name);
    copy->objects++;
    copy->copied_objects++;
    copy->copied_bytes += reader.size;
    self->writers[self->count++] = take_pointer(&writer);
    return self->count == BATCH ? flush(self, err) : 0;
}

/* Of what copy_object() returned. */
static bool is_unreadable(const struct copying *self, int r)
{
    return r < 0 && self->is_from && object_is_unreadable(r);
}

/* ------------------------------------------------------------ blobs */

static int note_damage(struct object_copy *copy, const struct blob *blob, enum blob_state state,
                       struct error *err)
{
    int r = blob_store_check(copy->from, err);

    copy->damaged++;
    name_lacking(copy, state == BLOB_MISSING ? "missing" : "corrupt", blob->key);
    return r < 0 ? r : blob_report(copy->rows, blob->id, blob->key, state, err);
}

static int note_unreadable_blob(struct object_copy *copy, const struct blob *blob,
                                struct error *err)
{
    int r = note_unreadable(copy, blob->key, err);

    return r < 0 ? r : blob_report(copy->rows, blob->id, blob->key, BLOB_MISSING, err);
}

/* 1: the blob is there, and its merkle object if it needs one; *out_count of objects. */
static int is_complete(struct object_copy *copy, const struct blob *blob, const char *merkle_key,
                       uint64_t *out_count, struct error *err)
{
    struct merkle_shape shape;
    int r = is_there(copy, blob->key, blob->size, err);

    *out_count = 1;
    if (r <= 0 || blob->size <= MERKLE_PIECE_SIZE)
        return r;
    *out_count = 2;
    r = merkle_shape_of(blob->size, &shape, err);
    return r < 0 ? r : is_there(copy, merkle_key, shape.object_size, err);
}

static int copy_blob(struct copying *self, const struct blob *blob, struct error *err)
{
    struct object_copy *copy = self->copy;
    char merkle_key[BLOB_MERKLE_KEY_SIZE];
    enum object_verdict verdict;
    uint64_t count;
    int r;

    blob_merkle_key(blob, merkle_key);
    r = is_complete(copy, blob, merkle_key, &count, err);
    if (r != 0) {
        copy->objects += r > 0 ? count : 0;
        return r < 0 ? r : 0;
    }
    r = object_check(copy->from, blob, true, copy->go_on, copy->context, &verdict, err);
    if (r < 0)
        return error_prefix(err, r, "%s", blob->key);
    if (verdict == OBJECT_UNREADABLE)
        return note_unreadable_blob(copy, blob, err);
    if (verdict != OBJECT_RIGHT)
        return note_damage(copy, blob, verdict == OBJECT_MISSING ? BLOB_MISSING : BLOB_CORRUPT,
                           err);
    r = copy_object(self, blob->key, err);
    if (r == 0 && blob->size > MERKLE_PIECE_SIZE)
        r = copy_object(self, merkle_key, err);
    return is_unreadable(self, r) ? note_unreadable_blob(copy, blob, err) : r;
}

/* It is known to be lost. */
static void pass_over(struct object_copy *copy, const struct blob *blob)
{
    copy->damaged++;
    name_lacking(copy, blob->state == BLOB_MISSING ? "missing" : "corrupt", blob->key);
}

static int copy_blobs(struct copying *self, struct error *err)
{
    cleanup_memory struct blob *page = memory_array(PAGE, sizeof(*page));
    int64_t after = 0;
    size_t count;
    int r = page == NULL ? error_set(err, -ENOMEM, "out of memory") : 0;

    while (r == 0) {
        r = self->copy->go_on(self->copy->context, err);
        if (r == 0)
            r = blob_walk(self->copy->rows, after, PAGE, page, &count, err);
        for (size_t i = 0; r == 0 && i < count; i++) {
            if (page[i].state == BLOB_LIVE || page[i].state == BLOB_CONDEMNED)
                r = copy_blob(self, &page[i], err);
            else
                pass_over(self->copy, &page[i]);
            after = page[i].id;
        }
        if (r < 0 || count < PAGE)
            break;
    }
    return r;
}

/* ------------------------------------------------------------ records */

/* 1: of a version that `rows` has. One that is none, or of a later version, is not. */
static int is_wanted(struct copying *self, const char *name, struct error *err)
{
    struct object_copy *copy = self->copy;
    cleanup(version_release) struct version version = version_empty();
    cleanup(record_release) struct record record;
    int r;

    record_init(&record);
    r = record_store_read(copy->from, name, &record, err);
    self->is_from = r < 0;
    if (r == 0)
        r = version_get(copy->rows, record.project, record.app, record.version, &version, err);
    if (r == -ENOENT || r == -ESTALE || r == -EBADMSG)
        return 0;
    return r < 0 ? r
                 : digest_equal(&version.content, &record.content) &&
                       version.created_at_s == record.created_at_s;
}

/* blob_store_each */
static int copy_record(void *context, const char *name, uint64_t size, int64_t changed_at_s,
                       struct error *err)
{
    struct copying *self = context;
    const enum record_object kind = record_object_of(name);
    int r = kind == RECORD_NONE ? 0 : self->copy->go_on(self->copy->context, err);

    if (r < 0 || kind == RECORD_NONE)
        return r;
    r = kind == RECORD_PURGED ? 1 : is_wanted(self, name, err);
    if (r > 0)
        r = copy_object(self, name, err);
    if (r == -ENOENT) /* it went since it was listed */
        return 0;
    return is_unreadable(self, r) ? note_unreadable(self->copy, name, err) : r;
}

int object_copy_run(struct object_copy *copy, struct error *err)
{
    cleanup_memory struct copying *self = memory_new(sizeof(*self));
    int r;

    if (self == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    self->copy = copy;
    r = copy_blobs(self, err);
    if (r == 0)
        r = blob_store_list(copy->from, copy_record, self, err);
    if (r == 0)
        r = flush(self, err);
    for (size_t i = 0; i < self->count; i++)
        blob_writer_abort(self->writers[i]);
    return r;
}

/* ------------------------------------------------------------ what is too many */

/* 1: `from` has it. */
static int has_record(struct object_copy *copy, const char *name, struct error *err)
{
    struct blob_reader reader;
    int r = blob_store_open(copy->from, name, 0, UINT64_MAX, &reader, err);

    if (r == 0)
        blob_reader_release(&reader);
    return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

/* blob_store_each */
static int prune(void *context, const char *name, uint64_t size, int64_t changed_at_s,
                 struct error *err)
{
    struct object_copy *copy = context;
    char key[BLOB_STORAGE_KEY_SIZE];
    int r = copy->go_on(copy->context, err);

    if (r < 0)
        return r;
    if (object_row_key(name, key))
        r = blob_key_is_used(copy->rows, key, err);
    else if (record_object_of(name) != RECORD_NONE)
        r = has_record(copy, name, err);
    if (r != 0)
        return r < 0 ? r : 0;
    copy->removed_objects++;
    return blob_store_remove(copy->to, name, err);
}

int object_copy_prune(struct object_copy *copy, struct error *err)
{
    return blob_store_list(copy->to, prune, copy, err);
}
