/* SPDX-License-Identifier: MIT */
#include "server/service/push_parts.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/model/times.h"
#include "server/db/push_blobs.h"
#include "server/service/blob_fact.h"
#include "server/service/context.h"
#include "server/service/listing_count.h"
#include "server/service/object.h"
#include "server/service/push_door.h"
#include "server/service/push_files.h"
#include "server/service/refusal.h"

static int refuse_missing(struct refusal *why, struct error *err, const char *what)
{
    if (why != NULL)
        why->missing = 0;
    return refusal_set(why, REFUSAL_MISSING_BLOBS,
                       error_set(err, -EBUSY, "the %s not there yet", what));
}

int push_holds(struct services *services, const struct push *push, const struct digest *sha256,
               struct error *err)
{
    struct push_blob row;
    int r = push_blob_get(services->database, push->number, sha256, &row, err);

    if (r == 0 && row.blob.state != BLOB_LIVE)
        return error_set(err, -ENOENT, "not held");
    return r;
}

/* A blob that the push holds, by its digest; any other is "not there yet". */
static int open_held(struct services *services, const struct push *push,
                     const struct digest *sha256, const char *what, struct object **out_object,
                     struct span *out, struct refusal *why, struct error *err)
{
    cleanup(object_unref_at) struct object *object = NULL;
    struct push_blob row;
    int r = push_blob_get(services->database, push->number, sha256, &row, err);

    if (r == -ENOENT || (r == 0 && row.blob.state != BLOB_LIVE))
        return refuse_missing(why, err, what);
    if (r == 0)
        r = blob_object_open(services, &row.blob, &object, why, err);
    if (r < 0)
        return r;
    r = object_bytes(object, out, err);
    if (r < 0)
        return blob_object_failed(services, &row.blob, r, why, err);
    *out_object = take_pointer(&object);
    return 0;
}

int push_listing_need(struct services *services, const struct identity *identity, struct push *push,
                      struct object **out_object, struct span *out_listing, struct refusal *why,
                      struct error *err)
{
    cleanup(object_unref_at) struct object *object = NULL;
    struct listing_count count;
    struct span listing;
    int r;

    if (!push->has_content)
        return refuse_missing(why, err, "listing is");
    r = open_held(services, push, &push->content, "listing is", &object, &listing, why, err);
    if (r == 0 && push->listing_blob_id == 0) {
        r = listing_count(listing, &count, err);
        if (r == 0)
            r = push_files_want(services, identity, push, &push->content, listing, count.files, why,
                                err);
        if (r == -EBADMSG)
            return refusal_at(why, "/content", error_set(err, -EINVAL, "this blob is no listing"));
        if (r == 0)
            push->listing_blob_id = -1; /* there, under an id that nobody here asks for */
    }
    if (r < 0)
        return r;
    *out_object = take_pointer(&object);
    *out_listing = listing;
    return 0;
}

/* Times that were sent to the push were checked as they came; those that were there are looked at
 * here. */
static int check_times(struct services *services, struct push *push, struct span listing,
                       struct span bytes, struct refusal *why, struct error *err)
{
    struct listing_count count;
    struct times times;
    int r = listing_count(listing, &count, err);

    if (r < 0)
        return r;
    r = times_open(bytes, count.entries, &times, err);
    if (r == -EBADMSG)
        return refusal_at(why, "/times",
                          error_set(err, -EINVAL, "these are no times of this listing"));
    if (r < 0)
        return r;
    r = push_part_set(services->database, push->number, PUSH_PART_TIMES, &push->times, err);
    r = push_result_of(r, why, err);
    if (r == 0)
        push->times_blob_id = -1;
    return r;
}

int push_times_need(struct services *services, struct push *push, struct span listing,
                    struct object **out_object, struct span *out_times, struct refusal *why,
                    struct error *err)
{
    cleanup(object_unref_at) struct object *object = NULL;
    struct span bytes;
    int r;

    if (!push->has_times)
        return refuse_missing(why, err, "times are");
    r = open_held(services, push, &push->times, "times are", &object, &bytes, why, err);
    if (r == 0 && push->times_blob_id == 0)
        r = check_times(services, push, listing, bytes, why, err);
    if (r < 0)
        return r;
    *out_object = take_pointer(&object);
    *out_times = bytes;
    return 0;
}
