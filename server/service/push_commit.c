/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/json.h"
#include "common/model/record.h"
#include "server/db/push_blobs.h"
#include "server/db/pushes.h"
#include "server/service/context.h"
#include "server/service/object.h"
#include "server/service/push_door.h"
#include "server/service/push_parts.h"
#include "server/service/push_tree.h"
#include "server/service/pushes.h"
#include "server/service/record_store.h"
#include "server/service/refusal.h"
#include "server/service/version_fact.h"
#include "server/service/version_info.h"
#include "server/service/version_record.h"

CLEANUP_DEFINE(json, json_free);

static int refuse_missing(uint64_t missing, struct refusal *why, struct error *err)
{
    if (why != NULL)
        why->missing = missing;
    return refusal_set(why, REFUSAL_MISSING_BLOBS,
                       error_set(err, -EBUSY, "%llu blobs are not there yet",
                                 (unsigned long long)missing));
}

/* content, when the pusher says it again or only now. */
static int check_content(struct push *push, const struct digest *content, struct refusal *why,
                         struct error *err)
{
    if (content == NULL)
        return 0;
    if (!push->has_content) {
        /* No listing was sent, and none was named: push_listing_need() looks for this one. */
        push->has_content = true;
        push->content = *content;
        return 0;
    }
    if (digest_equal(&push->content, content))
        return 0;
    if (why != NULL) {
        why->expected = *content;
        why->actual = push->content;
    }
    return refusal_set(why, REFUSAL_DIGEST_MISMATCH,
                       error_set(err, -EBADMSG, "the listing is another one than content says"));
}

/* Nothing is built for a commit that cannot be. */
static int check_complete(struct services *services, const struct push *push, uint64_t *out_present,
                          struct refusal *why, struct error *err)
{
    uint64_t missing;
    int r = push_blob_count(services->database, push->number, out_present, &missing, err);

    if (r < 0)
        return push_result_of(r, why, err);
    return missing > 0 ? refuse_missing(missing, why, err) : 0;
}

static int make_tree(struct services *services, const struct identity *identity, struct push *push,
                     struct push_tree *out, struct refusal *why, struct error *err)
{
    cleanup(object_unref_at) struct object *listing_object = NULL;
    cleanup(object_unref_at) struct object *times_object = NULL;
    struct span listing, times;
    uint64_t present;
    int r;

    r = push_listing_need(services, identity, push, &listing_object, &listing, why, err);
    if (r == 0)
        r = push_times_need(services, push, listing, &times_object, &times, why, err);
    if (r == 0)
        r = check_complete(services, push, &present, why, err);
    if (r == 0)
        r = push_tree_make(services, identity, push, listing, times, present, out, why, err);
    return r;
}

static int read_metadata(const struct push *push, struct version_metadata *out, struct error *err)
{
    cleanup(cleanup_json) struct json *json = NULL;
    cleanup(record_release) struct record record;
    int r = 0;

    record_init(&record);
    if (push->metadata != NULL) {
        r = json_parse(span_text(push->metadata), &json, err);
        if (r == 0)
            r = record_read_metadata(json_root(json), &record, err);
    }
    if (r == 0)
        r = version_record_metadata(&record, out, err);
    return r;
}

static int commit(struct services *services, const struct caller *caller, const struct push *push,
                  const struct push_tree *tree, struct push_result *out, struct error *err)
{
    cleanup(version_metadata_release) struct version_metadata metadata = { 0 };
    char name[DIGEST_HEX_SIZE];
    struct push_commit commit = {
        .number = push->number,
        .version = push->version,
        .content = tree->content,
        .times = tree->times,
        .tree = tree->tree,
        .tree_size = tree->tree_size,
        .file_count = tree->file_count,
        .bytes = tree->bytes,
        .metadata = &metadata,
        .by = caller_actor(caller),
    };
    int r = read_metadata(push, &metadata, err);

    if (r < 0)
        return r;
    if (push->version[0] == '\0') {
        digest_hex(&tree->content, name);
        name[12] = '\0';
        commit.version = name;
    }
    return push_commit(services->database, &commit, out, err);
}

static int answer(struct services *services, const struct push_result *result,
                  enum pushes_outcome *out_outcome, struct version_info *out_version,
                  struct refusal *why, struct error *err)
{
    const struct version *version = &result->version;
    int r;

    if (result->answer == PUSH_ANSWER_CONFLICT)
        return push_refuse_conflict(&result->existing, why, err);
    if (result->answer == PUSH_ANSWER_MISSING)
        return refuse_missing(result->missing, why, err);
    event_written(services);
    version_fact_forget(services, version->project, version->app, version->name);
    /* The version stands, whatever becomes of this; record_store.h says who writes it otherwise. */
    record_store_ensure(services, version, NULL);
    r = version_info_of(version, out_version, err);
    if (r == 0)
        *out_outcome = result->answer == PUSH_ANSWER_CREATED ? PUSHES_CREATED : PUSHES_EXISTS;
    return r;
}

static int commit_alone(struct services *services, const struct caller *caller, struct push *push,
                        const struct digest *content, enum pushes_outcome *out_outcome,
                        struct version_info *out_version, struct refusal *why, struct error *err)
{
    cleanup(push_result_release) struct push_result result = { .push = push_empty(),
                                                               .version = version_empty() };
    struct push_tree tree;
    int r = push_look_again(services, push, why, err);

    if (r == 0)
        r = check_content(push, content, why, err);
    if (r == 0)
        r = make_tree(services, &caller->identity, push, &tree, why, err);
    if (r < 0)
        return r;
    r = commit(services, caller, push, &tree, &result, err);
    if (r < 0)
        return push_result_of(r, why, err);
    return answer(services, &result, out_outcome, out_version, why, err);
}

int pushes_commit(struct services *services, const struct caller *caller, const char *project,
                  const char *app, const char *id, const struct digest *content,
                  enum pushes_outcome *out_outcome, struct version_info *out_version,
                  struct refusal *why, struct error *err)
{
    cleanup(push_release) struct push push = push_empty();
    struct span name;
    int64_t number;
    int r = push_enter(services, caller, project, app, id, &push, why, err);

    number = push.number;
    name = span_of(&number, sizeof(number));
    if (r == 0)
        r = busy_enter(services, name, why, err);
    if (r < 0)
        return r;
    r = commit_alone(services, caller, &push, content, out_outcome, out_version, why, err);
    busy_leave(services, name);
    return r;
}
