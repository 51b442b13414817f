/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/push_new_blobs.h"
#include "server/service/blob_upload_private.h"
#include "server/service/context.h"
#include "server/service/deposit.h"
#include "server/service/push_door.h"
#include "server/service/refusal.h"
#include "server/service/upload_merkle.h"
#include "server/storage/blob_store.h"

CLEANUP_DEFINE(blob_upload, blob_upload_free);

struct blob_upload *blob_upload_new(struct services *services)
{
    struct blob_upload *upload = memory_new(sizeof(*upload));

    if (upload == NULL)
        return NULL;
    upload->services = services;
    side_task_init(&upload->hashing, services->side_workers);
    side_task_init(&upload->growing, services->side_workers);
    return upload;
}

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

    if (r == 0 && row.blob.state != BLOB_LIVE) {
        r = blob_upload_check_free(services, number, sha256, 0, why, err);
        if (r == 0) /* as whoever was at it has left it */
            r = push_blob_get(services->database, number, sha256, &row, err);
    }
    if (r < 0)
        return r;
    *out_offset = row.blob.state == BLOB_LIVE ? row.blob.size : row.received;
    *out_length = row.blob.size;
    return 0;
}

int blob_upload_progress(struct blob_upload *upload, uint64_t received, struct span hash,
                         struct error *err)
{
    struct database *database = upload->services->database;

    return upload->is_new ? push_new_blob_progress(database, upload->push_number, upload->number,
                                                   received, hash, err)
                          : push_blob_progress(database, upload->push_number, &upload->blob.sha256,
                                               received, hash, err);
}

int blob_upload_start_over(struct blob_upload *upload, struct refusal *why, struct error *err)
{
    int r = blob_upload_progress(upload, 0, span_of(NULL, 0), err);

    if (r < 0)
        return push_result_of(r, why, err);
    return refuse_offset(0, why, err);
}

/* Goes on with the tree of the parts before, or begins it. Without one (it is not here, or cannot
 * be had) the upload goes on all the same. */
static void prepare_merkle(struct blob_upload *upload, const struct push_blob *row)
{
    if (upload->offset == 0)
        upload_merkle_new(upload->services, upload->blob.size, &upload->merkle, NULL);
    else
        upload->merkle = upload_merkle_take(upload->services, row->blob.key, row->hash);
}

int blob_upload_prepare(struct blob_upload *upload, const struct push_blob *row,
                        struct refusal *why, struct error *err)
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
        return blob_upload_start_over(upload, why, err);
    r = deposit_writer(upload->services, &row->blob, received, &upload->writer, err);
    if (r == -EEXIST) {
        upload->way = UPLOAD_VERIFY;
        return 0;
    }
    if (r == -ESTALE)
        return blob_upload_start_over(upload, why, err);
    if (r < 0)
        return push_result_of(r, why, err);
    /* Not before: what only has to be verified needs none. */
    r = push_check_room(upload->services, row->blob.size - received, why, err);
    if (r < 0)
        return r;
    upload->way = UPLOAD_PART;
    prepare_merkle(upload, row);
    return 0;
}

int blob_upload_check_part(struct services *services, uint64_t size, uint64_t offset,
                           uint64_t part_size, struct refusal *why, struct error *err)
{
    if (part_size > services->part_size)
        return refusal_set(why, REFUSAL_TOO_LARGE,
                           error_set(err, -EFBIG, "a part has at most %u bytes",
                                     services->part_size));
    if (offset > size || part_size > size - offset)
        return refusal_at(why, "",
                          error_set(err, -EINVAL, "the part goes beyond the end of the blob"));
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
    return blob_upload_check_part(services, length, offset, part_size, why, err);
}

static struct upload_name name_of(int64_t push_number, const struct digest *sha256, uint32_t number)
{
    const void *what = sha256 != NULL ? (const void *)sha256->bytes : &number;
    size_t size = sha256 != NULL ? DIGEST_SIZE : sizeof(number);
    struct upload_name name = { .size = sizeof(push_number) + size };

    memcpy(name.bytes, &push_number, sizeof(push_number));
    memcpy(name.bytes + sizeof(push_number), what, size);
    return name;
}

int blob_upload_enter(struct blob_upload *upload, const struct digest *sha256, struct refusal *why,
                      struct error *err)
{
    struct upload_name *name = &upload->name;
    int r;

    *name = name_of(upload->push_number, sha256, upload->number);
    r = busy_enter_part(upload->services, span_of(name->bytes, name->size), upload->offset,
                        upload->offset + upload->part_size, why, err);
    if (r == 0)
        upload->busy = true;
    return r;
}

int blob_upload_check_free(struct services *services, int64_t push_number,
                           const struct digest *sha256, uint32_t number, struct refusal *why,
                           struct error *err)
{
    struct upload_name name = name_of(push_number, sha256, number);
    int r = busy_enter(services, span_of(name.bytes, name.size), why, err);

    if (r == 0)
        busy_leave(services, span_of(name.bytes, name.size));
    return r;
}

void blob_upload_leave(struct blob_upload *upload)
{
    if (upload->busy)
        busy_leave(upload->services, span_of(upload->name.bytes, upload->name.size));
    upload->busy = false;
}

/* From here on nobody else moves it; the row as it is now. */
static int take_alone(struct blob_upload *upload, const struct digest *sha256,
                      struct push_blob *out, struct refusal *why, struct error *err)
{
    int r = blob_upload_enter(upload, sha256, why, err);

    if (r < 0)
        return r;
    r = push_blob_get(upload->services->database, upload->push_number, sha256, out, err);
    if (r < 0)
        return push_result_of(r, why, err);
    upload->blob = out->blob;
    return 0;
}

int blob_upload_begin(struct services *services, const struct caller *caller, const char *project,
                      const char *app, const char *push_id, const struct digest *sha256,
                      uint64_t offset, uint64_t length, uint64_t part_size,
                      struct blob_upload **out_upload, struct refusal *why, struct error *err)
{
    cleanup(cleanup_blob_upload) struct blob_upload *upload = blob_upload_new(services);
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
        r = blob_upload_prepare(upload, &row, why, err);
    if (r < 0)
        return r;
    *out_upload = take_pointer(&upload);
    return 0;
}

int blob_upload_begin_whole(struct services *services, const struct caller *caller,
                            const char *project, const char *app, const char *push_id,
                            const struct digest *sha256, struct blob_upload **out_upload,
                            struct refusal *why, struct error *err)
{
    cleanup(cleanup_blob_upload) struct blob_upload *upload = blob_upload_new(services);
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
