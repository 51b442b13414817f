/* SPDX-License-Identifier: MIT */
#include "server/service/delta_body.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "server/db/blob_bases.h"
#include "server/service/blob_fact.h"
#include "server/service/context.h"
#include "server/service/gate.h"
#include "server/service/object.h"
#include "server/service/push_door.h"
#include "server/service/refusal.h"

#define WAIT_MS 10000
#define FEED_STEP ((size_t)64 << 10)

CLEANUP_DEFINE(delta_reader, delta_reader_free);

void delta_body_init(struct delta_body *body, struct services *services, uint64_t maximum)
{
    body->services = services;
    body->maximum = maximum;
    spool_init(&body->spool, services->scratch_path);
}

void delta_body_release(struct delta_body *body)
{
    spool_release(&body->spool);
}

int delta_body_add(struct delta_body *body, struct span bytes, struct refusal *why,
                   struct error *err)
{
    if (bytes.size > body->maximum - body->spool.size)
        return refusal_set(why, REFUSAL_TOO_LARGE,
                           error_set(err, -EFBIG, "a delta of more than %llu bytes",
                                     (unsigned long long)body->maximum));
    return push_result_of(spool_add(&body->spool, bytes, err), why, err);
}

/* What the model says of the bytes is the sender's fault. */
static int refuse(struct refusal *why, struct error *err)
{
    if (err != NULL)
        err->code = -EINVAL;
    return refusal_at(why, "", -EINVAL);
}

int delta_body_header(struct delta_body *body, struct delta_header *out, struct refusal *why,
                      struct error *err)
{
    struct span bytes;
    int r = spool_bytes(&body->spool, &bytes, err);

    if (r < 0)
        return push_result_of(r, why, err);
    return delta_header_parse(bytes, out, err) < 0 ? refuse(why, err) : 0;
}

/* The two ends of the reader, which tell whose failure it was. */
struct making {
    struct services *services;
    struct blob base;
    struct object *object;
    struct sink target;
    struct refusal *why;
    int failure; /* of an end, not of the delta */
};

static void making_release(struct making *making)
{
    object_unref(making->object);
}

static int read_base(void *context, uint64_t offset, void *out, size_t size, struct error *err)
{
    struct making *making = context;
    int r = making->failure = services_go_on(making->services, err);

    if (r < 0)
        return r;
    r = size > 0 ? object_read(making->object, offset, out, size, err) : 0;
    if (r < 0)
        making->failure = r =
            blob_object_failed(making->services, &making->base, r, making->why, err);
    return r;
}

static int write_target(void *context, const void *bytes, size_t size, struct error *err)
{
    struct making *making = context;

    making->failure = services_go_on(making->services, err);
    if (making->failure == 0)
        making->failure = sink_write(&making->target, bytes, size, err);
    return making->failure;
}

static int refuse_base(struct refusal *why, struct error *err)
{
    return refusal_set(why, REFUSAL_NOT_FOUND, error_set(err, -ENOENT, "no such base"));
}

/* Every way in which there is none looks the same. */
static int open_base(struct making *making, int64_t push_number, const struct identity *identity,
                     const struct digest *sha256, struct refusal *why, struct error *err)
{
    const char *project = identity->project[0] != '\0' ? identity->project : NULL;
    const char *app = identity->app[0] != '\0' ? identity->app : NULL;
    int r;

    if ((identity->permissions & (ACCESS_PULL | ACCESS_ADMIN)) == 0)
        return refuse_base(why, err);
    r = blob_base_hold(making->services->database, push_number, project, app, sha256, &making->base,
                       err);
    if (r == -ENOENT)
        return refuse_base(why, err);
    if (r < 0)
        return push_result_of(r, why, err);
    return blob_object_open(making->services, &making->base, &making->object, why, err);
}

static int feed(struct making *making, const struct delta_header *header, struct span bytes,
                struct refusal *why, struct error *err)
{
    cleanup(cleanup_delta_reader) struct delta_reader *reader = NULL;
    int r = delta_reader_new(&reader, header, (struct delta_source){ read_base, making },
                             (struct sink){ write_target, making }, DELTA_PATCH_MAX, err);

    for (size_t at = 0; r == 0 && at < bytes.size; at += FEED_STEP) {
        struct span piece = span_slice(bytes, at, FEED_STEP);

        r = making->failure = services_go_on(making->services, err);
        if (r == 0)
            r = delta_reader_feed(reader, piece.bytes, piece.size, err);
    }
    if (r == 0)
        r = delta_reader_end(reader, err);
    if (making->failure < 0)
        return making->failure;
    if (r == -EBADMSG || r == -EINVAL)
        return refuse(why, err);
    return push_result_of(r, why, err);
}

/* What is made stands in proportion to what was sent. */
static int check_size(const struct delta_body *body, const struct delta_header *header,
                      struct refusal *why, struct error *err)
{
    if (header->target_size <= header->base_size ||
        (header->target_size - header->base_size) / DELTA_BODY_TIMES <= body->spool.size)
        return 0;
    return refusal_set(why, REFUSAL_TOO_LARGE,
                       error_set(err, -EFBIG, "a delta of %llu bytes makes too much",
                                 (unsigned long long)body->spool.size));
}

int delta_body_make(struct delta_body *body, int64_t push_number, const struct identity *identity,
                    const struct delta_header *header, struct sink target, struct refusal *why,
                    struct error *err)
{
    cleanup(making_release) struct making making = { .services = body->services,
                                                     .target = target,
                                                     .why = why };
    const void *at = body; /* work that is nobody else's: its own place names it */
    const struct span name = span_of(&at, sizeof(at));
    struct gate *gate = body->services->upload_gate;
    struct span bytes;
    int r = open_base(&making, push_number, identity, &header->base, why, err);

    if (r < 0)
        return r;
    if (header->base_size != making.base.size)
        return refusal_at(why, "",
                          error_set(err, -EINVAL, "offset 72: the base has %llu bytes",
                                    (unsigned long long)making.base.size));
    r = check_size(body, header, why, err);
    if (r < 0)
        return r;
    r = spool_bytes(&body->spool, &bytes, err);
    if (r < 0)
        return push_result_of(r, why, err);
    if (gate_enter(gate, name, WAIT_MS) != GATE_MINE)
        return error_set(err, -EAGAIN, "too many deltas are being worked on");
    r = feed(&making, header, bytes, why, err);
    gate_leave(gate, name);
    return r;
}
