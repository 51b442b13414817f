/* SPDX-License-Identifier: MIT */
/* What status and stat tell (CONTRACT 4), as JSON. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/client/api_client.h"
#include "common/client/blob_cache.h"
#include "common/client/blob_fetch.h"
#include "common/client/tree_fetch.h"
#include "common/codec/json.h"
#include "fs/ops/faults.h"
#include "fs/ops/opens.h"
#include "fs/ops/question.h"
#include "fs/pins/pins.h"
#include "fs/reader/reader.h"
#include "fs/tree_mount/tree_set.h"

#define STAT_WAIT_MS 5000

struct telling {
    struct ops *ops;
    struct json_writer *writer;
};

static struct version_state state_of_closed(struct ops *ops,
                                            const struct tree_set_version *version);

/* Of a version that has one since bytes of it came last. */
static void tell_last_error(struct ops *ops, const char *project, const char *app,
                            const char *version, struct json_writer *writer)
{
    char name[FAULTS_NAME_SIZE], text[FAULTS_TEXT_SIZE];

    fault_name(name, project, app, version);
    faults_of(ops->faults, name, text);
    if (text[0] != '\0')
        json_text(writer, "last_error", text);
}

static int tell_version(void *context, const struct tree_set_version *version)
{
    struct telling *telling = context;
    const struct ops_options *options = &telling->ops->options;
    struct json_writer *writer = telling->writer;
    struct version_state state = { NULL, 0 };
    bool pinned =
        pins_has(options->pins, options->store, version->project, version->app, version->version);

    json_begin_object(writer, NULL);
    json_text(writer, "project", version->project);
    json_text(writer, "app", version->app);
    json_text(writer, "version", version->version);
    /* A closed tree was shown and not used for long: what it has is counted for a pinned one. */
    if (version->mount != NULL)
        state = version_state_of(telling->ops, version->mount);
    else if (pinned)
        state = state_of_closed(telling->ops, version);
    json_text(writer, "state", state.text != NULL ? state.text : "partial");
    json_integer(writer, "cached_bytes", (int64_t)state.cached_bytes);
    json_integer(writer, "bytes", (int64_t)version->bytes);
    json_bool(writer, "pinned", pinned);
    tell_last_error(telling->ops, version->project, version->app, version->version, writer);

    options->usage.tell(options->usage.context, version->project, version->app, version->version,
                        writer);
    json_end(writer);
    return 0;
}

struct sought {
    const char *project, *app, *version;
    struct ops *ops;
    const char *state; /* when it is asked for */
};

static int look_for(void *context, const struct tree_set_version *version)
{
    const struct sought *sought = context;

    return strcmp(version->project, sought->project) == 0 &&
           strcmp(version->app, sought->app) == 0 && strcmp(version->version, sought->version) == 0;
}

/* One that could not be opened so far, or was not. */
static void tell_unshown(struct telling *telling, const char *project, const char *app,
                         const char *version, bool pinned)
{
    const struct ops_options *options = &telling->ops->options;
    struct json_writer *writer = telling->writer;
    struct sought sought = { project, app, version, telling->ops, NULL };

    if (tree_set_walk(options->trees, look_for, &sought) != 0)
        return;
    json_begin_object(writer, NULL);
    json_text(writer, "project", project);
    json_text(writer, "app", app);
    json_text(writer, "version", version);
    json_text(writer, "state", "partial");
    json_integer(writer, "cached_bytes", 0);
    json_integer(writer, "bytes", 0);
    json_bool(writer, "pinned", pinned);
    options->usage.tell(options->usage.context, project, app, version, writer);
    json_end(writer);
}

static int tell_pin(void *context, const struct pin *pin)
{
    tell_unshown(context, pin->project, pin->app, pin->version, true);
    return 0;
}

static void tell_use(void *context, const char *project, const char *app, const char *version)
{
    struct telling *telling = context;
    const struct ops_options *options = &telling->ops->options;

    if (!pins_has(options->pins, options->store, project, app, version))
        tell_unshown(telling, project, app, version, false);
}

static int take_state(void *context, const struct tree_set_version *version)
{
    struct sought *sought = context;

    if (look_for(context, version) == 0)
        return 0;
    if (version->mount != NULL)
        sought->state = version_state_of(sought->ops, version->mount).text;
    return 1;
}

const char *ops_version_state(struct ops *ops, const char *project, const char *app,
                              const char *version)
{
    struct sought sought = { project, app, version, ops, NULL };

    tree_set_walk(ops->options.trees, take_state, &sought);
    return sought.state;
}

static void tell_cache(struct ops *ops, struct json_writer *writer)
{
    struct blob_cache_stats stats;

    blob_cache_stats(ops->options.cache, &stats);
    json_begin_object(writer, "cache");
    json_integer(writer, "bytes", (int64_t)stats.bytes);
    json_integer(writer, "limit", (int64_t)stats.quota_bytes);
    json_integer(writer, "free_limit", (int64_t)stats.free_bytes);
    json_integer(writer, "files", (int64_t)stats.objects);
    json_integer(writer, "hit_bytes", (int64_t)stats.hit_bytes);
    json_integer(writer, "damaged", (int64_t)stats.damaged);
    json_integer(writer, "quarantined", (int64_t)stats.set_aside);
    json_integer(writer, "evicted", (int64_t)stats.evicted);
    json_bool(writer, "degraded", stats.degraded);
    json_text(writer, "last_error", stats.last_error);
    json_end(writer);
}

static void tell_engine(struct ops *ops, struct json_writer *writer)
{
    struct blob_fetch_stats stats;
    struct blob_cache_stats cache;
    char last[FAULTS_TEXT_SIZE];

    blob_fetch_stats(ops->options.engine, &stats);
    blob_cache_stats(ops->options.cache, &cache);
    faults_last(ops->faults, last);
    json_integer(writer, "requests", (int64_t)http_loop_request_count(ops->options.loop));
    json_integer(writer, "fetched_bytes", (int64_t)stats.fetched_bytes);
    json_integer(writer, "hit_bytes", (int64_t)stats.hit_bytes);
    /* Wherever bytes were not what their digest says: on the way, or in the cache. */
    json_integer(writer, "integrity_failures", (int64_t)(stats.integrity_failures + cache.damaged));
    json_integer(writer, "memory_bytes", (int64_t)stats.memory_bytes);
    json_text(writer, "last_error", last[0] != '\0' ? last : stats.last_error);
}

static void tell_servers(const struct api_client *client, struct json_writer *writer)
{
    json_begin_array(writer, "servers");
    for (size_t i = 0; i < api_client_server_count(client); i++) {
        struct server_status status;

        api_client_server_status(client, i, &status);
        json_begin_object(writer, NULL);
        json_text(writer, "url", api_client_server(client, i));
        json_text(writer, "state", server_state_text(status.state));
        json_text(writer, "cause", status.cause);
        json_integer(writer, "failures", (int64_t)status.failures);
        json_integer(writer, "wrong", (int64_t)status.wrong);
        json_integer(writer, "hedged", (int64_t)status.hedges);
        json_integer(writer, "latency_ms", (int64_t)status.latency_ms);
        json_integer(writer, "next_ms", (int64_t)status.next_ms);
        json_end(writer);
    }
    json_end(writer);
}

void ops_status_json(struct ops *ops, struct json_writer *writer)
{
    struct telling telling = { ops, writer };

    json_bool(writer, "online", api_client_online(ops->options.client));
    json_bool(writer, "offline", api_client_is_offline(ops->options.client));
    json_bool(writer, "unauthorised", api_client_unauthorised(ops->options.client));
    tell_servers(ops->options.client, writer);
    json_begin_array(writer, "versions");
    tree_set_walk(ops->options.trees, tell_version, &telling);
    pins_each(ops->options.pins, ops->options.store, tell_pin, &telling);
    ops->options.usage.each(ops->options.usage.context, tell_use, &telling);
    json_end(writer);
    tell_cache(ops, writer);
    tell_engine(ops, writer);
    opens_status_json(ops, writer);
}

/* Waits for a callback of the loop's thread, which comes for sure: by the deadline, or at the
 * end. */
struct awaited {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;
    struct tree_mount *mount;
    uint32_t slot;
    struct error err;
};

static void set_done(struct awaited *awaited, const struct error *err)
{
    pthread_mutex_lock(&awaited->lock);
    awaited->done = true;
    if (err != NULL)
        awaited->err = *err;
    pthread_cond_signal(&awaited->changed);
    pthread_mutex_unlock(&awaited->lock);
}

static void tree_came(void *context, struct tree_mount *mount, uint32_t slot,
                      const struct error *err)
{
    struct awaited *awaited = context;

    awaited->slot = slot;
    awaited->mount = mount != NULL ? tree_mount_ref(mount) : NULL;
    set_done(awaited, err);
}

static void digests_came(void *context, int result, const struct error *err)
{
    set_done(context, result < 0 ? err : NULL);
}

static int await(struct awaited *awaited, struct error *err)
{
    pthread_mutex_lock(&awaited->lock);
    while (!awaited->done)
        pthread_cond_wait(&awaited->changed, &awaited->lock);
    pthread_mutex_unlock(&awaited->lock);
    if (awaited->err.code < 0)
        return error_set(err, awaited->err.code, "%s", awaited->err.text);
    return 0;
}

static void awaited_init(struct awaited *awaited)
{
    memset(awaited, 0, sizeof(*awaited));
    pthread_mutex_init(&awaited->lock, NULL);
    pthread_cond_init(&awaited->changed, NULL);
}

static void awaited_release(struct awaited *awaited)
{
    pthread_mutex_destroy(&awaited->lock);
    pthread_cond_destroy(&awaited->changed);
}

static int open_place(struct ops *ops, const struct ids_place *place, struct tree_mount **out_mount,
                      struct error *err)
{
    struct awaited awaited;
    int r;

    *out_mount = tree_set_get(ops->options.trees, place->slot);
    if (*out_mount != NULL)
        return 0;
    awaited_init(&awaited);
    r = tree_set_open(ops->options.trees, place->project, place->app, place->version,
                      clock_monotonic_ms() + STAT_WAIT_MS, tree_came, &awaited, err);
    if (r == 0)
        r = await(&awaited, err);
    if (r == 0 && awaited.slot != place->slot) {
        tree_mount_unref(awaited.mount);
        r = error_set(err, -ESTALE, "the version has another tree now");
    }
    if (r == 0)
        *out_mount = awaited.mount;
    awaited_release(&awaited);
    return r;
}

static struct version_state state_of_closed(struct ops *ops, const struct tree_set_version *version)
{
    struct version_state state = { NULL, 0 };
    struct tree_mount *mount = NULL;
    struct ids_place place;

    if (ids_find(ops->options.ids, ids_node(version->slot, 0), &place, NULL) == 0 &&
        open_place(ops, &place, &mount, NULL) == 0)
        state = version_state_of(ops, mount);
    tree_mount_unref(mount);
    return state;
}

static int bring_digests(struct ops *ops, const struct reader_file *file,
                         struct reader_digests *out, struct error *err)
{
    struct awaited awaited;
    int r = reader_digests_try(file, &out->sha256, &out->verity);

    if (r == 0)
        return 0;
    awaited_init(&awaited);
    r = reader_digests_start(ops->options.reader, file, out, clock_monotonic_ms() + STAT_WAIT_MS,
                             digests_came, &awaited, err);
    if (r == 0)
        r = await(&awaited, err);
    awaited_release(&awaited);
    return r;
}

static int tell_file(struct ops *ops, struct tree_mount *mount, const struct tree_node *node,
                     struct json_writer *writer, struct error *err)
{
    struct reader_file file = { tree_mount_fetch(mount), node->digest_index, node->size };
    struct reader_digests digests;
    char hex[DIGEST_HEX_SIZE];
    uint64_t cached = 0;
    int r = bring_digests(ops, &file, &digests, err);

    if (r < 0)
        return r;
    digest_hex(&digests.sha256, hex);
    json_text(writer, "sha256", hex);
    digest_hex(&digests.verity, hex);
    json_text(writer, "verity", hex);
    reader_cached_bytes(ops->options.reader, &file, &cached);
    json_integer(writer, "cached_bytes", (int64_t)cached);
    json_text(writer, "state",
              cached == node->size ? "complete"
              : cached > 0         ? "partial"
                                   : "remote");
    return 0;
}

static void tell_root(struct ops *ops, struct tree_mount *mount, struct json_writer *writer)
{
    struct version_state state = version_state_of(ops, mount);
    char hex[DIGEST_HEX_SIZE];

    digest_hex(&tree_mount_view(mount)->tree.header.content, hex);
    json_text(writer, "content", hex);
    json_text(writer, "state", state.text);
    json_integer(writer, "cached_bytes", (int64_t)state.cached_bytes);
    json_integer(writer, "bytes", (int64_t)tree_fetch_facts(tree_mount_fetch(mount))->bytes);
}

static int tell_inside(struct ops *ops, const struct ids_place *place, struct tree_mount *mount,
                       struct json_writer *writer, struct error *err)
{
    static const char *const kinds[] = {
        [ENTRY_DIRECTORY] = "directory", [ENTRY_FILE] = "file", [ENTRY_LINK] = "link"
    };
    struct tree_node node;
    int r = tree_view_node(tree_mount_view(mount), place->index, &node);

    if (r < 0)
        return error_set(err, -ESTALE, "there is no such node");
    json_text(writer, "kind", kinds[node.kind]);
    json_integer(writer, "size", (int64_t)node.size);
    if (place->index == TREE_ROOT)
        tell_root(ops, mount, writer);
    else if (node.kind == ENTRY_FILE && !node.is_manifest)
        r = tell_file(ops, mount, &node, writer, err);
    return r;
}

int ops_node_json(struct ops *ops, uint64_t node, struct json_writer *writer, struct error *err)
{
    struct tree_mount *mount = NULL;
    struct ids_place place;
    int r = ids_find(ops->options.ids, node, &place, err);

    if (r < 0)
        return r;
    json_text(writer, "project", place.project);
    json_text(writer, "app", place.app);
    json_text(writer, "version", place.version);
    if (place.kind != IDS_IS_VERSION) {
        json_text(writer, "kind", "directory");
        return 0;
    }
    r = open_place(ops, &place, &mount, err);
    if (r == 0)
        r = tell_inside(ops, &place, mount, writer, err);
    if (r == 0)
        tell_last_error(ops, place.project, place.app, place.version, writer);
    tree_mount_unref(mount);
    return r;
}
