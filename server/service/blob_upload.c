/* SPDX-License-Identifier: MIT */
#include "server/service/blob_upload_private.h"

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

/* Less at a time, or of a smaller blob, is hashed before another thread has woken up. */
#define SIDE_PIECE_MIN ((size_t)64 << 10)
#define SIDE_BLOB_MIN ((uint64_t)1 << 20)

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
    r = blob_upload_progress(upload, 0, span_of(NULL, 0), err);
    if (r < 0)
        return push_result_of(r, why, err);
    row->received = 0;
    return 0;
}

static int begin_pending(struct blob_upload *upload, struct refusal *why, struct error *err)
{
    int r;

    if (!upload->is_pending)
        return 0;
    upload->is_pending = false;
    r = forget_parts(upload, &upload->row, why, err);
    return r < 0 ? r : blob_upload_prepare(upload, &upload->row, why, err);
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
        r = blob_upload_progress(upload, upload->offset + upload->part_size,
                                 span_of(hash, sizeof(hash)), err);
    }
    if (r == -ENOENT)
        deposit_forsake(upload->services, &upload->blob);
    if (r == 0)
        upload_merkle_keep(upload->services, upload->blob.key, take_pointer(&upload->merkle), hash);
    return push_result_of(r, why, err);
}

/* Other bytes than were promised: everything of them goes, the upload stands at 0. */
static int refuse_digest(struct blob_upload *upload, const struct digest *expected,
                         const struct digest *actual, struct refusal *why, struct error *err)
{
    int r;

    upload->writer = blob_writer_abort(upload->writer);
    r = blob_upload_progress(upload, 0, span_of(NULL, 0), err);
    if (r < 0)
        return push_result_of(r, why, err);
    if (why != NULL) {
        why->expected = *expected;
        why->actual = *actual;
    }
    return refusal_set(why, REFUSAL_DIGEST_MISMATCH,
                       error_set(err, -EBADMSG, "the bytes have another SHA-256"));
}

static int end_blob(struct blob_upload *upload, struct refusal *why, struct error *err)
{
    const struct digest expected = upload->is_new ? upload->claimed : upload->blob.sha256;
    struct digest sha256 = digest_stream_end(&upload->digest);
    struct digest verity;
    struct span object;
    int r;

    if (!digest_equal(&sha256, &expected))
        return refuse_digest(upload, &expected, &sha256, why, err);
    if (upload->is_new) {
        r = blob_upload_give_name(upload, why, err);
        if (r < 0 || upload->way == UPLOAD_DROP)
            return r;
    }
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
            return blob_upload_start_over(upload, why, err);
        r = deposit_finish(upload->services, upload->push_number, &upload->blob, NULL, err);
        return r == -EBADMSG ? blob_upload_start_over(upload, why, err)
                             : push_result_of(r, why, err);
    case UPLOAD_PART:
    default:
        return end_offset == upload->blob.size ? end_blob(upload, why, err)
                                               : end_part(upload, why, err);
    }
}

void blob_upload_break_off(struct blob_upload *upload)
{
    if (upload->writer == NULL || upload->added < UPLOAD_BROKEN_MIN ||
        upload->offset + upload->added >= upload->blob.size)
        return;
    upload->part_size = upload->added;
    end_part(upload, NULL, NULL);
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
    blob_upload_leave(upload);
    upload_merkle_free(upload->merkle);
    side_task_release(&upload->hashing);
    side_task_release(&upload->growing);
    return memory_free(upload);
}
