/* SPDX-License-Identifier: MIT */
#include "server/service/pushes.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/json.h"
#include "common/model/record.h"
#include "server/db/push_blobs.h"
#include "server/db/pushes.h"
#include "server/service/context.h"
#include "server/service/listing_count.h"
#include "server/service/object.h"
#include "server/service/push_door.h"
#include "server/service/push_files.h"
#include "server/service/push_parts.h"
#include "server/service/record_store.h"
#include "server/service/refusal.h"
#include "server/service/version_fact.h"
#include "server/service/version_info.h"

#define NAME_FROM_CONTENT 12 /* hex digits */

static int check_names(const struct pushes_request *request, struct refusal *why, struct error *err)
{
    if (name_check(NAME_PROJECT, span_text(request->project), err) < 0 ||
        name_check(NAME_APP, span_text(request->app), err) < 0)
        return refusal_at(why, "", -EINVAL);
    if (request->version != NULL && name_check(NAME_VERSION, span_text(request->version), err) < 0)
        return refusal_at(why, "/version", -EINVAL);
    if (request->base != NULL && name_check(NAME_VERSION, span_text(request->base), err) < 0)
        return refusal_at(why, "/base", -EINVAL);
    return 0;
}

/* What the pusher said, as the row keeps it until the commit. */
static int metadata_text(const struct record *metadata, struct buf *out, struct error *err)
{
    struct json_writer writer = json_writer_init(out);

    json_begin_object(&writer, NULL);
    record_write_metadata(metadata, &writer);
    json_end(&writer);
    buf_text(out);
    return buf_check(out, err);
}

/* A document that was named and that the server may say it has needs not be sent: the push holds
 * it. */
static int hold_named(struct services *services, const struct caller *caller,
                      const struct push *push, const struct digest *sha256, bool *out_wanted,
                      struct error *err)
{
    const struct blob_scope scope = push_scope(&caller->identity);
    struct blob blob;
    int r;

    *out_wanted = true;
    r = push_blob_hold(services->database, push->number, &scope, sha256, &blob, err);
    if (r == -ENOENT)
        return 0;
    if (r == 0)
        *out_wanted = false;
    return r;
}

static void fill_info(const struct services *services, const struct push *push,
                      struct push_info *out)
{
    memset(out, 0, sizeof(*out));
    memcpy(out->id, push->id, sizeof(out->id));
    memcpy(out->project, push->project, sizeof(out->project));
    memcpy(out->app, push->app, sizeof(out->app));
    memcpy(out->version, push->version, sizeof(out->version));
    out->has_content = push->has_content;
    out->content = push->content;
    out->has_times = push->has_times;
    out->times = push->times;
    out->part_size = services->part_size;
    out->expires_at_s = push->expires_at_s;
    out->wants_listing = out->wants_times = true;
}

static int answer_opened(struct services *services, const struct caller *caller,
                         const struct push *push, struct push_info *out, struct refusal *why,
                         struct error *err)
{
    struct push_info info;
    int r = 0;

    fill_info(services, push, &info);
    if (push->has_content)
        r = hold_named(services, caller, push, &push->content, &info.wants_listing, err);
    if (r == 0 && push->has_times)
        r = hold_named(services, caller, push, &push->times, &info.wants_times, err);
    if (r < 0)
        return push_result_of(r, why, err);
    *out = info;
    return 0;
}

/* The version is there: what a crash left out of the store is written now, and is no reason to
 * fail. */
static int answer_version(struct services *services, const struct version *version,
                          struct version_info *out, struct error *err)
{
    version_fact_forget(services, version->project, version->app, version->name);
    record_store_ensure(services, version, NULL);
    return version_info_of(version, out, err);
}

int pushes_create(struct services *services, const struct caller *caller,
                  const struct pushes_request *request, enum pushes_outcome *out_outcome,
                  struct push_info *out_push, struct version_info *out_version, struct refusal *why,
                  struct error *err)
{
    cleanup(push_result_release) struct push_result result = { .push = push_empty(),
                                                               .version = version_empty() };
    cleanup(buf_release) struct buf metadata = buf_init(BUF_UNLIMITED);
    char name[DIGEST_HEX_SIZE];
    struct push_opening opening = {
        .project = request->project,
        .app = request->app,
        .token_id = caller->identity.id,
        .by = caller_actor(caller),
        .version = request->version,
        .content = request->content,
        .times = request->times,
        .base = request->base,
    };
    int r = access_check(services, &caller->identity, ACCESS_PUSH, ACCESS_WHOLE, request->project,
                         request->app, why, err);

    if (r == 0)
        r = check_names(request, why, err);
    if (r == 0 && request->metadata != NULL)
        r = metadata_text(request->metadata, &metadata, err);
    if (r < 0)
        return r;
    if (request->metadata != NULL)
        opening.metadata = (const char *)metadata.bytes;
    if (request->version == NULL && request->content != NULL) {
        digest_hex(request->content, name);
        name[NAME_FROM_CONTENT] = '\0';
        opening.version = name;
    }
    r = push_open(services->database, &opening, &result, err);
    if (r < 0)
        return push_result_of(r, why, err);
    event_written(services); /* a project, an app; or a version that came back from the trash */
    if (result.answer == PUSH_ANSWER_CONFLICT)
        return push_refuse_conflict(&result.existing, why, err);
    if (result.answer == PUSH_ANSWER_EXISTS) {
        r = answer_version(services, &result.version, out_version, err);
        if (r == 0)
            *out_outcome = PUSHES_EXISTS;
        return r;
    }
    r = answer_opened(services, caller, &result.push, out_push, why, err);
    if (r < 0) {
        push_abandon(services->database, result.push.number, NULL);
        return r;
    }
    *out_outcome = PUSHES_OPEN;
    return 0;
}

int pushes_get(struct services *services, const struct caller *caller, const char *project,
               const char *app, const char *id, struct push_info *out, struct refusal *why,
               struct error *err)
{
    cleanup(push_release) struct push push = push_empty();
    struct push_info info;
    uint64_t present, missing;
    int r = push_enter(services, caller, project, app, id, &push, why, err);

    if (r < 0)
        return r;
    fill_info(services, &push, &info);
    r = push_blob_count(services->database, push.number, &present, &missing, err);
    if (r == 0 && push.has_content) {
        r = push_holds(services, &push, &push.content, err);
        info.wants_listing = r == -ENOENT;
        r = r == -ENOENT ? 0 : r;
    }
    if (r == 0 && push.has_times) {
        r = push_holds(services, &push, &push.times, err);
        info.wants_times = r == -ENOENT;
        r = r == -ENOENT ? 0 : r;
    }
    if (r < 0)
        return push_result_of(r, why, err);
    present -= info.wants_listing ? 0 : 1;
    present -=
        info.wants_times || (push.has_content && digest_equal(&push.content, &push.times)) ? 0 : 1;
    info.received_blobs = present;
    *out = info;
    return 0;
}

int pushes_abandon(struct services *services, const struct caller *caller, const char *project,
                   const char *app, const char *id, struct refusal *why, struct error *err)
{
    cleanup(push_release) struct push push = push_empty();
    int r = push_enter(services, caller, project, app, id, &push, why, err);

    if (r < 0)
        return r;
    return push_result_of(push_abandon(services->database, push.number, err), why, err);
}

int pushes_missing(struct services *services, const struct caller *caller, const char *project,
                   const char *app, const char *id, struct buf *out_bitmap, struct refusal *why,
                   struct error *err)
{
    cleanup(push_release) struct push push = push_empty();
    cleanup(object_unref_at) struct object *object = NULL;
    struct span listing;
    int r = push_enter(services, caller, project, app, id, &push, why, err);

    if (r == 0)
        r = push_listing_need(services, &caller->identity, &push, &object, &listing, why, err);
    if (r < 0)
        return r;
    return push_result_of(push_files_missing(services, &push, listing, out_bitmap, err), why, err);
}

int pushes_expire(struct services *services, size_t *out_count, struct error *err)
{
    size_t total = 0;
    size_t count;
    int r;

    do {
        r = push_expire(services->database, 100, &count, err);
        if (r < 0)
            return r;
        total += count;
    } while (count > 0);
    *out_count = total;
    return 0;
}
