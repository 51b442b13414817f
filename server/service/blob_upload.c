/* SPDX-License-Identifier: MIT */
#include "server/service/blob_upload.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/service/context.h"
#include "server/service/deposit.h"
#include "server/service/push_door.h"
#include "server/service/refusal.h"
#include "server/service/side_task.h"
#include "server/service/upload_merkle.h"
#include "server/storage/blob_store.h"

/* What becomes of the bytes that come. */
enum upload_way {
    UPLOAD_DROP,   /* the push has the blob already */
    UPLOAD_VERIFY, /* the store has all of it, the row does not know: verified at the end */
    UPLOAD_PART,   /* a part of several, or all of it */
};

/* Less at a time, or of a smaller blob, is hashed before another thread has woken up. */
#define SIDE_PIECE_MIN ((size_t)64 << 10)
#define SIDE_BLOB_MIN ((uint64_t)1 << 20)

#define UPLOAD_NAME_SIZE (sizeof(int64_t) + DIGEST_SIZE)

struct blob_upload {
    struct services *services;
    int64_t push_number;
    struct blob blob;
    enum upload_way way;
    uint64_t offset; /* where the part starts */
    uint64_t part_size;
    uint64_t added; /* of the part */
    struct digest_stream digest;
    struct blob_writer *writer;
    struct upload_merkle *merkle; /* NULL: the blob is read back for it */
    struct side_task hashing;     /* SHA-256 of `piece` */
    struct side_task growing;     /* its part of the tree */
    struct span piece;
    bool is_pending; /* a whole blob of which no byte has come; its row: */
    struct push_blob row;
    bool busy; /* `name` is entered */
    uint8_t name[UPLOAD_NAME_SIZE];
};

CLEANUP_DEFINE(blob_upload, blob_upload_free);

static int refuse_offset(uint64_t expected, struct refusal *why, struct error *err)
{
    if (why != NULL)
        why->expected_offset = expected;
    return refusal_set(why, REFUSAL_OFFSET_MISMATCH,
                       error_set(err, -EBUSY, "the upload stands at %llu",
                                 (unsigned long long)expected));
}

/* The row of a blob that the push wants. */
static int find_row(struct services *services, const struct caller *caller, const char *project,
                    const char *app, const char *push_id, const struct digest *sha256,
                    int64_t *out_number, struct push_blob *out, struct refusal *why,
                    struct error *err)
{
    cleanup(push_release) struct push push = push_empty();
    int r = push_enter(services, caller, project, app, push_id, &push, why, err);

    if (r < 0)
        return r;
    r = push_blob_get(services->database, push.number, sha256, out, err);
    if (r == -ENOENT)
        return refusal_set(why, REFUSAL_NOT_FOUND,
                           error_set(err, r, "this push does not want such a blob"));
    if (r == 0)
        *out_number = push.number;
    return r;
}

int blob_upload_offset(struct services *services, const struct caller *caller, const char *project,
                       const char *app, const char *push_id, const struct digest *sha256,
                       uint64_t *out_offset, uint64_t *out_length, struct refusal *why,
                       struct error *err)
{
    struct push_blob row;
    int64_t number;
    int r = find_row(services, caller, project, app, push_id, sha256, &number, &row, why, err);

    if (r < 0)
        return r;
    *out_offset = row.blob.state == BLOB_LIVE ? row.blob.size : row.received;
    *out_length = row.blob.size;
    return 0;
}

/* The store and the row tell different things: the upload starts again. */
static int start_over(struct blob_upload *upload, struct refusal *why, struct error *err)
{
    int r = push_blob_progress(upload->services->database, upload->push_number,
                               &upload->blob.sha256, 0, span_of(NULL, 0), err);

    if (r < 0)
        return push_result_of(r, why, err);
    return refuse_offset(0, why, err);
}

/* Goes on with the tree of the parts before, or begins it. Without one (it is not here, or cannot
 * be had) the upload goes on all the same. */
static void prepare_merkle(struct blob_upload *upload)
{
    struct span name = span_of(upload->name, sizeof(upload->name));

    upload->merkle = upload_merkle_take(upload->services, name, upload->offset);
    if (upload->merkle == NULL && upload->offset == 0)
        upload_merkle_new(upload->services, upload->blob.size, &upload->merkle, NULL);
}

/* Decides the way, under the upload's name, from the row as it is now. */
static int prepare(struct blob_upload *upload, const struct push_blob *row, struct refusal *why,
                   struct error *err)
{
    uint64_t received = row->received;
    int r;

    if (row->blob.state == BLOB_LIVE)
        return 0; /* UPLOAD_DROP */
    if (upload->offset != received)
        return refuse_offset(received, why, err);
    if (received == 0)
        digest_stream_init(&upload->digest);
    else if (!row->has_hash ||
             digest_stream_load(&upload->digest, span_of(row->hash, sizeof(row->hash)), NULL) < 0)
        return start_over(upload, why, err);
    r = deposit_writer(upload->services, &row->blob, received, &upload->writer, err);
    if (r == -EEXIST) {
        upload->way = UPLOAD_VERIFY;
        return 0;
    }
    if (r == -ESTALE)
        return start_over(upload, why, err);
    if (r < 0)
        return push_result_of(r, why, err);
    /* Not before: what only has to be verified needs none. */
    r = push_check_room(upload->services, row->blob.size - received, why, err);
    if (r < 0)
        return r;
    upload->way = UPLOAD_PART;
    prepare_merkle(upload);
    return 0;
}

static int check_sizes(struct services *services, const struct push_blob *row, uint64_t offset,
                       uint64_t length, uint64_t part_size, struct refusal *why, struct error *err)
{
    if (length != row->blob.size)
        return refusal_at(why, "",
                          error_set(err, -EINVAL, "Upload-Length %llu, but the listing says %llu",
                                    (unsigned long long)length,
                                    (unsigned long long)row->blob.size));
    if (part_size > services->part_size)
        return refusal_set(why, REFUSAL_TOO_LARGE,
                           error_set(err, -EFBIG, "a part has at most %u bytes",
                                     services->part_size));
    if (offset > length || part_size > length - offset)
        return refusal_at(why, "",
                          error_set(err, -EINVAL, "the part goes beyond the end of the blob"));
    return 0;
}

/* From here on nobody else moves it; the row as it is now. */
static int take_alone(struct blob_upload *upload, const struct digest *sha256,
                      struct push_blob *out, struct refusal *why, struct error *err)
{
    int r;

    memcpy(upload->name, &upload->push_number, sizeof(upload->push_number));
    memcpy(upload->name + sizeof(upload->push_number), sha256->bytes, DIGEST_SIZE);
    r = busy_enter(upload->services, span_of(upload->name, sizeof(upload->name)), why, err);
    if (r < 0)
        return r;
    upload->busy = true;
    r = push_blob_get(upload->services->database, upload->push_number, sha256, out, err);
    if (r < 0)
        return push_result_of(r, why, err);
    upload->blob = out->blob;
    return 0;
}

static struct blob_upload *upload_new(struct services *services)
{
    struct blob_upload *upload = memory_new(sizeof(*upload));

    if (upload == NULL)
        return NULL;
    upload->services = services;
    side_task_init(&upload->hashing, services->side_workers);
    side_task_init(&upload->growing, services->side_workers);
    return upload;
}

int blob_upload_begin(struct services *services, const struct caller *caller, const char *project,
                      const char *app, const char *push_id, const struct digest *sha256,
                      uint64_t offset, uint64_t length, uint64_t part_size,
                      struct blob_upload **out_upload, struct refusal *why, struct error *err)
{
    cleanup(cleanup_blob_upload) struct blob_upload *upload = upload_new(services);
    struct push_blob row;
    int r;

    if (upload == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    upload->offset = offset;
    upload->part_size = part_size;
    r = find_row(services, caller, project, app, push_id, sha256, &upload->push_number, &row, why,
                 err);
    if (r == 0)
        r = check_sizes(services, &row, offset, length, part_size, why, err);
    if (r == 0)
        r = take_alone(upload, sha256, &row, why, err);
    if (r == 0)
        r = prepare(upload, &row, why, err);
    if (r < 0)
        return r;
    *out_upload = take_pointer(&upload);
    return 0;
}

/* The row first: what the store has more than the row says is cut off. */
static int forget_parts(struct blob_upload *upload, struct push_blob *row, struct refusal *why,
                        struct error *err)
{
    int r;

    if (row->blob.state == BLOB_LIVE || row->received == 0)
        return 0;
    /* While they can still be gone on with. */
    r = push_check_room(upload->services, row->blob.size - row->received, why, err);
    if (r < 0)
        return r;
    r = push_blob_progress(upload->services->database, upload->push_number, &row->blob.sha256, 0,
                           span_of(NULL, 0), err);
    if (r < 0)
        return push_result_of(r, why, err);
    row->received = 0;
    return 0;
}

int blob_upload_begin_whole(struct services *services, const struct caller *caller,
                            const char *project, const char *app, const char *push_id,
                            const struct digest *sha256, struct blob_upload **out_upload,
                            struct refusal *why, struct error *err)
{
    cleanup(cleanup_blob_upload) struct blob_upload *upload = upload_new(services);
    int r;

    if (upload == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = find_row(services, caller, project, app, push_id, sha256, &upload->push_number,
                 &upload->row, why, err);
    if (r == 0)
        r = take_alone(upload, sha256, &upload->row, why, err);
    if (r < 0)
        return r;
    upload->part_size = upload->blob.size;
    upload->is_pending = upload->row.blob.state != BLOB_LIVE;
    upload->way = upload->is_pending ? UPLOAD_PART : UPLOAD_DROP;
    *out_upload = take_pointer(&upload);
    return 0;
}

static int begin_pending(struct blob_upload *upload, struct refusal *why, struct error *err)
{
    int r;

    if (!upload->is_pending)
        return 0;
    upload->is_pending = false;
    r = forget_parts(upload, &upload->row, why, err);
    return r < 0 ? r : prepare(upload, &upload->row, why, err);
}

bool blob_upload_is_there(const struct blob_upload *upload)
{
    return upload->way == UPLOAD_DROP;
}

uint64_t blob_upload_size(const struct blob_upload *upload)
{
    return upload->blob.size;
}

int64_t blob_upload_push(const struct blob_upload *upload)
{
    return upload->push_number;
}

static int add_to_hash(void *context, struct error *err)
{
    struct blob_upload *upload = context;

    digest_stream_add(&upload->digest, upload->piece.bytes, upload->piece.size);
    return 0;
}

static int add_to_tree(void *context, struct error *err)
{
    struct blob_upload *upload = context;

    return upload->merkle != NULL ? upload_merkle_add(upload->merkle, upload->piece, err) : 0;
}

/* The two hashes of a large piece are made beside its write, each of them takes longer than that.
 * Of a write and a tree that both fail the write is told. */
static int keep_piece(struct blob_upload *upload, struct span bytes, struct error *err)
{
    const bool aside = upload->blob.size >= SIDE_BLOB_MIN && bytes.size >= SIDE_PIECE_MIN;
    int r, h;

    upload->piece = bytes;
    if (aside) {
        side_task_start(&upload->hashing, add_to_hash, upload);
        side_task_start(&upload->growing, add_to_tree, upload);
    } else {
        add_to_hash(upload, NULL);
    }
    r = blob_writer_write(upload->writer, bytes.bytes, bytes.size, err);
    if (aside)
        side_task_wait(&upload->hashing, NULL);
    h = aside ? side_task_wait(&upload->growing, r < 0 ? NULL : err)
              : add_to_tree(upload, r < 0 ? NULL : err);
    return r < 0 ? r : h;
}

int blob_upload_add(struct blob_upload *upload, struct span bytes, struct refusal *why,
                    struct error *err)
{
    int r;

    if (bytes.size > upload->part_size - upload->added)
        return refusal_at(why, "", error_set(err, -EINVAL, "the body is longer than promised"));
    r = begin_pending(upload, why, err);
    if (r < 0)
        return r;
    upload->added += bytes.size;
    if (upload->writer == NULL)
        return 0;
    return push_result_of(keep_piece(upload, bytes, err), why, err);
}

/* More parts follow: what is here becomes durable, then the row knows. */
static int end_part(struct blob_upload *upload, struct refusal *why, struct error *err)
{
    uint8_t hash[DIGEST_SAVED_SIZE];
    int r = blob_writer_suspend(take_pointer(&upload->writer), err);

    if (r == 0) {
        digest_stream_save(&upload->digest, hash);
        r = push_blob_progress(upload->services->database, upload->push_number,
                               &upload->blob.sha256, upload->offset + upload->part_size,
                               span_of(hash, sizeof(hash)), err);
    }
    if (r == 0)
        upload_merkle_keep(upload->services, span_of(upload->name, sizeof(upload->name)),
                           take_pointer(&upload->merkle));
    return push_result_of(r, why, err);
}

/* Other bytes than the listing promised: everything of them goes, the upload stands at 0. */
static int refuse_digest(struct blob_upload *upload, const struct digest *actual,
                         struct refusal *why, struct error *err)
{
    int r;

    upload->writer = blob_writer_abort(upload->writer);
    r = push_blob_progress(upload->services->database, upload->push_number, &upload->blob.sha256, 0,
                           span_of(NULL, 0), err);
    if (r < 0)
        return push_result_of(r, why, err);
    if (why != NULL) {
        why->expected = upload->blob.sha256;
        why->actual = *actual;
    }
    return refusal_set(why, REFUSAL_DIGEST_MISMATCH,
                       error_set(err, -EBADMSG, "the bytes have another SHA-256"));
}

static int end_blob(struct blob_upload *upload, struct refusal *why, struct error *err)
{
    struct digest sha256 = digest_stream_end(&upload->digest);
    struct digest verity;
    struct span object;
    int r;

    if (!digest_equal(&sha256, &upload->blob.sha256))
        return refuse_digest(upload, &sha256, why, err);
    if (upload->merkle == NULL) {
        r = deposit_finish(upload->services, upload->push_number, &upload->blob,
                           take_pointer(&upload->writer), err);
        return push_result_of(r, why, err);
    }
    r = upload_merkle_end(upload->merkle, &object, &verity, err);
    if (r == 0)
        r = deposit_commit(upload->services, upload->push_number, &upload->blob,
                           take_pointer(&upload->writer), object, &verity, err);
    return push_result_of(r, why, err);
}

static int end(struct blob_upload *upload, struct refusal *why, struct error *err)
{
    uint64_t end_offset = upload->offset + upload->part_size;
    int r;

    switch (upload->way) {
    case UPLOAD_DROP:
        return 0;
    case UPLOAD_VERIFY:
        if (end_offset != upload->blob.size)
            return start_over(upload, why, err);
        r = deposit_finish(upload->services, upload->push_number, &upload->blob, NULL, err);
        return r == -EBADMSG ? start_over(upload, why, err) : push_result_of(r, why, err);
    case UPLOAD_PART:
    default:
        return end_offset == upload->blob.size ? end_blob(upload, why, err)
                                               : end_part(upload, why, err);
    }
}

int blob_upload_end(struct blob_upload *upload, uint64_t *out_offset, struct refusal *why,
                    struct error *err)
{
    int r;

    if (upload->added != upload->part_size)
        return refusal_at(why, "", error_set(err, -EINVAL, "the body is shorter than promised"));
    r = begin_pending(upload, why, err);
    if (r < 0)
        return r;
    r = end(upload, why, err);
    if (r < 0)
        return r;
    *out_offset =
        upload->way == UPLOAD_DROP ? upload->blob.size : upload->offset + upload->part_size;
    return 0;
}

/* Bytes of a part that did not end: an object with earlier parts is kept at those (the row's offset
 * rules, what stands behind is cut next time), one without goes. */
static void forget_part(struct blob_upload *upload)
{
    if (upload->writer == NULL)
        return;
    if (upload->offset == 0)
        upload->writer = blob_writer_abort(upload->writer);
    else
        blob_writer_suspend(take_pointer(&upload->writer), NULL);
}

struct blob_upload *blob_upload_free(struct blob_upload *upload)
{
    if (upload == NULL)
        return NULL;
    forget_part(upload);
    if (upload->busy)
        busy_leave(upload->services, span_of(upload->name, sizeof(upload->name)));
    upload_merkle_free(upload->merkle);
    side_task_release(&upload->hashing);
    side_task_release(&upload->growing);
    return memory_free(upload);
}
