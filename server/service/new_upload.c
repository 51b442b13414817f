/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/model/entry.h"
#include "server/db/push_new_blobs.h"
#include "server/service/blob_upload_private.h"
#include "server/service/context.h"
#include "server/service/push_door.h"
#include "server/service/refusal.h"
#include "server/storage/blob_store.h"

CLEANUP_DEFINE(blob_upload, blob_upload_free);

static int enter(struct services *services, const struct caller *caller, const char *project,
                 const char *app, const char *push_id, int64_t *out_number, struct refusal *why,
                 struct error *err)
{
    cleanup(push_release) struct push push = push_empty();
    int r = push_enter(services, caller, project, app, push_id, &push, why, err);

    if (r == 0)
        *out_number = push.number;
    return r;
}

static int refuse_unknown(struct refusal *why, struct error *err)
{
    return refusal_set(why, REFUSAL_NOT_FOUND,
                       error_set(err, -ENOENT, "this push has no such new blob"));
}

int blob_upload_offset_new(struct services *services, const struct caller *caller,
                           const char *project, const char *app, const char *push_id,
                           uint32_t number, uint64_t *out_offset, uint64_t *out_length,
                           struct refusal *why, struct error *err)
{
    struct push_new_blob found;
    int64_t push = 0;
    int r = enter(services, caller, project, app, push_id, &push, why, err);

    if (r < 0)
        return r;
    if (number >= PUSH_NEW_BLOBS_MAX)
        return refuse_unknown(why, err);
    r = blob_upload_check_free(services, push, NULL, number, why, err);
    if (r < 0)
        return r;
    r = push_new_blob_get(services->database, push, number, &found, err);
    if (r == -ENOENT)
        return refuse_unknown(why, err);
    if (r < 0)
        return r;
    if (found.is_named)
        return blob_upload_offset(services, caller, project, app, push_id, &found.sha256,
                                  out_offset, out_length, why, err);
    *out_offset = found.row.received;
    *out_length = found.row.blob.size;
    return 0;
}

/* What can be said of a part before anything is looked up. */
static int check_request(struct services *services, uint32_t number, uint64_t offset,
                         uint64_t length, uint64_t part_size, bool has_digest, struct refusal *why,
                         struct error *err)
{
    int r;

    if (number >= PUSH_NEW_BLOBS_MAX)
        return refuse_unknown(why, err);
    if (length > ENTRY_MAX_SIZE)
        return refusal_at(why, "", error_set(err, -EINVAL, "no file is so long"));
    r = blob_upload_check_part(services, length, offset, part_size, why, err);
    if (r == 0 && offset + part_size == length && !has_digest)
        return refusal_at(why, "",
                          error_set(err, -EINVAL,
                                    "the last part of a new blob comes with its Repr-Digest"));
    return r;
}

/* As another name of a blob whose digest is known. */
static int begin_named(const struct blob_upload *asked, const struct caller *caller,
                       const char *project, const char *app, const char *push_id,
                       const struct digest *sha256, uint64_t length, struct blob_upload **out,
                       struct refusal *why, struct error *err)
{
    if (asked->has_claimed && !digest_equal(&asked->claimed, sha256)) {
        if (why != NULL) {
            why->expected = asked->claimed;
            why->actual = *sha256;
        }
        return refusal_set(why, REFUSAL_DIGEST_MISMATCH,
                           error_set(err, -EBADMSG, "the blob has another digest already"));
    }
    return blob_upload_begin(asked->services, caller, project, app, push_id, sha256, asked->offset,
                             length, asked->part_size, out, why, err);
}

/* Alone with it, the row as it is now, made when there is none. */
static int open_row(struct blob_upload *upload, uint64_t length, struct push_new_blob *out,
                    struct refusal *why, struct error *err)
{
    int r = blob_upload_enter(upload, NULL, why, err);

    if (r < 0)
        return r;
    r = push_new_blob_open(upload->services->database, upload->push_number, upload->number, length,
                           out, err);
    if (r < 0)
        return push_result_of(r, why, err);
    if (!out->is_named && out->row.blob.size != length)
        return refusal_at(why, "",
                          error_set(err, -EINVAL, "Upload-Length %llu, but it was %llu before",
                                    (unsigned long long)length,
                                    (unsigned long long)out->row.blob.size));
    upload->blob = out->row.blob;
    return 0;
}

int blob_upload_begin_new(struct services *services, const struct caller *caller,
                          const char *project, const char *app, const char *push_id,
                          uint32_t number, const struct digest *sha256, uint64_t offset,
                          uint64_t length, uint64_t part_size, struct blob_upload **out_upload,
                          struct refusal *why, struct error *err)
{
    cleanup(cleanup_blob_upload) struct blob_upload *upload = blob_upload_new(services);
    struct push_new_blob found;
    int r;

    if (upload == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    upload->is_new = true;
    upload->number = number;
    upload->offset = offset;
    upload->part_size = part_size;
    upload->has_claimed = sha256 != NULL;
    if (sha256 != NULL)
        upload->claimed = *sha256;
    r = enter(services, caller, project, app, push_id, &upload->push_number, why, err);
    if (r == 0)
        r = check_request(services, number, offset, length, part_size, sha256 != NULL, why, err);
    if (r == 0)
        r = open_row(upload, length, &found, why, err);
    if (r < 0)
        return r;
    if (found.is_named) {
        blob_upload_leave(upload);
        return begin_named(upload, caller, project, app, push_id, &found.sha256, length, out_upload,
                           why, err);
    }
    r = blob_upload_prepare(upload, &found.row, why, err);
    if (r < 0)
        return r;
    *out_upload = take_pointer(&upload);
    return 0;
}

static int refuse_name(int r, struct refusal *why, struct error *err)
{
    if (r == -ENOENT)
        return refusal_set(why, REFUSAL_NOT_FOUND, r);
    if (r == -EINVAL)
        return refusal_at(why, "", r);
    return push_result_of(r, why, err);
}

/* Under both names, so that nobody sends the same blob by its digest meanwhile. */
static int name_alone(struct blob_upload *upload, struct refusal *why, struct error *err)
{
    struct database *database = upload->services->database;
    struct push_blob row;
    int r =
        push_new_blob_name(database, upload->push_number, upload->number, &upload->claimed, err);

    if (r < 0)
        return refuse_name(r, why, err);
    upload->is_new = false;
    r = push_blob_get(database, upload->push_number, &upload->claimed, &row, err);
    if (r < 0)
        return push_result_of(r, why, err);
    upload->blob = row.blob;
    if (row.blob.state == BLOB_LIVE) { /* the push has these bytes */
        upload->writer = blob_writer_abort(upload->writer);
        upload->way = UPLOAD_DROP;
    }
    return 0;
}

int blob_upload_give_name(struct blob_upload *upload, struct refusal *why, struct error *err)
{
    const struct upload_name old = upload->name;
    int r = blob_upload_enter(upload, &upload->claimed, why, err);

    if (r < 0) {
        upload->name = old;
        return r;
    }
    r = name_alone(upload, why, err);
    busy_leave(upload->services, span_of(old.bytes, old.size));
    return r;
}
