/* SPDX-License-Identifier: MIT */
#include "server/service/delta_upload.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/names.h"
#include "server/service/blob_upload.h"
#include "server/service/context.h"
#include "server/service/delta_body.h"
#include "server/service/push_door.h"
#include "server/service/refusal.h"
#include "server/storage/blob_store.h"

struct delta_upload {
    struct services *services;
    struct caller caller;
    char project[NAME_TEXT_SIZE], app[NAME_TEXT_SIZE], push_id[PUSH_ID_SIZE];
    struct digest sha256;
    struct delta_body body;
};

CLEANUP_DEFINE(delta_upload, delta_upload_free);
CLEANUP_DEFINE(blob_upload, blob_upload_free);

int delta_upload_begin(struct services *services, const struct caller *caller, const char *project,
                       const char *app, const char *push_id, const struct digest *sha256,
                       uint64_t body_size, struct delta_upload **out_upload, struct refusal *why,
                       struct error *err)
{
    cleanup(cleanup_delta_upload) struct delta_upload *upload = memory_new(sizeof(*upload));
    uint64_t offset, length;
    int r;

    if (upload == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    upload->services = services;
    delta_body_init(&upload->body, services, services->part_size);
    /* Before a byte of it comes: may he, and does the push want it? */
    r = blob_upload_offset(services, caller, project, app, push_id, sha256, &offset, &length, why,
                           err);
    if (r < 0)
        return r;
    if (length > DELTA_UPLOAD_MAX)
        return refusal_set(why, REFUSAL_TOO_LARGE,
                           error_set(err, -EFBIG, "blobs of up to 64 GiB are made by deltas"));
    if (offset < length)
        r = push_check_room(services, body_size + length, why, err);
    if (r < 0)
        return r;
    upload->caller = *caller;
    memcpy(upload->project, project, strlen(project) + 1);
    memcpy(upload->app, app, strlen(app) + 1);
    memcpy(upload->push_id, push_id, strlen(push_id) + 1);
    upload->sha256 = *sha256;
    *out_upload = take_pointer(&upload);
    return 0;
}

int delta_upload_add(struct delta_upload *upload, struct span bytes, struct refusal *why,
                     struct error *err)
{
    return delta_body_add(&upload->body, bytes, why, err);
}

/* The blob on its way into the store. */
struct making {
    struct blob_upload *upload;
    struct refusal *why;
};

static int write_blob(void *context, const void *bytes, size_t size, struct error *err)
{
    struct making *making = context;

    return blob_upload_add(making->upload, span_of(bytes, size), making->why, err);
}

static int make(struct delta_upload *upload, struct blob_upload *blob, struct refusal *why,
                struct error *err)
{
    struct making making = { blob, why };
    struct delta_header header;
    int r = delta_body_header(&upload->body, &header, why, err);

    if (r < 0)
        return r;
    if (!digest_equal(&header.target, &upload->sha256))
        return refusal_at(why, "", error_set(err, -EINVAL, "offset 40: another target"));
    if (header.target_size != blob_upload_size(blob))
        return refusal_at(why, "", error_set(err, -EINVAL, "offset 80: another size"));
    r = push_check_room(upload->services, header.target_size, why, err);
    if (r < 0)
        return r;
    return delta_body_make(&upload->body, blob_upload_push(blob), &upload->caller.identity, &header,
                           (struct sink){ write_blob, &making }, why, err);
}

int delta_upload_end(struct delta_upload *upload, uint64_t *out_offset, struct refusal *why,
                     struct error *err)
{
    cleanup(cleanup_blob_upload) struct blob_upload *blob = NULL;
    int r = blob_upload_begin_whole(upload->services, &upload->caller, upload->project, upload->app,
                                    upload->push_id, &upload->sha256, &blob, why, err);

    if (r < 0)
        return r;
    if (blob_upload_is_there(blob)) {
        *out_offset = blob_upload_size(blob);
        return 0;
    }
    r = make(upload, blob, why, err);
    return r < 0 ? r : blob_upload_end(blob, out_offset, why, err);
}

struct delta_upload *delta_upload_free(struct delta_upload *upload)
{
    if (upload == NULL)
        return NULL;
    delta_body_release(&upload->body);
    return memory_free(upload);
}
