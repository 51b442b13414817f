/* SPDX-License-Identifier: MIT */
#include "fs/main/rooms.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "common/base/platform.h"
#include "common/base/workers.h"
#include "common/client/api_client.h"
#include "common/client/blob_cache.h"
#include "common/client/blob_fetch.h"
#include "common/client/known_versions.h"
#include "common/client/secret.h"
#include "common/codec/digest.h"
#include "common/net/http_loop.h"
#include "fs/care/care.h"
#include "fs/ids/ids.h"
#include "fs/main/mount_options.h"
#include "fs/main/rooms_usage.h"
#include "fs/pins/pins.h"
#include "fs/reader/reader.h"
#include "fs/tree_mount/tree_set.h"
#include "fs/usage/usage.h"

#define ENGINE_MEMORY ((uint64_t)24 * 1024 * 1024)
#define WORKERS 1
#define WORKERS_QUEUE 64
#define DRAIN_MS 1000
#define TURN_MS 20
#define START_MS 60000
#define START_MAX_MS 600000
#define DESCRIPTORS_OTHER 48
#define DESCRIPTORS_LEAST 4
#define DESCRIPTORS_MOST 64
#define PATH_MAX_SIZE_TEXT 8192

/* What an operator has to know is said once; what comes and goes is for those who look closely. */
static void server_changed(void *context, size_t index, const struct server_status *status)
{
    const struct rooms *rooms = context;
    const char *url = rooms->options->servers[index];
    bool only = rooms->options->server_count == 1; /* each read that fails says that it is away */

    if (status->state == SERVER_OK)
        log_info("server %s is used again", url);
    else if (status->state == SERVER_SLOW || status->state == SERVER_LATER ||
             status->state == SERVER_DOUBTED || (only && status->state == SERVER_AWAY))
        log_debug("server %s is passed over (%s): %s", url, server_state_text(status->state),
                  status->cause);
    else
        log_warning("server %s is passed over (%s): %s", url, server_state_text(status->state),
                    status->cause);
}

static int open_client(struct rooms *rooms, struct rooms_given *given, struct error *err)
{
    const struct mount_options *options = rooms->options;
    struct api_client_options client = {
        .loop = rooms->loop,
        .servers = (const char *const *)options->servers,
        .server_count = options->server_count,
        .ca_file = options->ca_file,
        .user_agent = "kkartifact-fs/" KKARTIFACT_VERSION,
        .insecure = options->insecure,
        .offline = options->offline,
        .timeout_ms = options->deadline_ms,
        .on_server = server_changed,
        .server_context = rooms,
    };
    int r = 0;

    if (given != NULL)
        client.token = take_pointer(&given->token);
    else if (options->token_file != NULL)
        r = secret_load(options->token_file, &client.token, err);
    if (r < 0)
        return error_prefix(err, -EINVAL, "token_file");
    return api_client_new(&rooms->client, &client, err);
}

/* Open files of the cache at a time: what connections, the kernel's device and the rest leave of
 * what the process may have. */
static size_t cache_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return DESCRIPTORS_LEAST;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        getrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur >= DESCRIPTORS_OTHER + 2 * DESCRIPTORS_MOST)
        return DESCRIPTORS_MOST;
    if (limit.rlim_cur <= DESCRIPTORS_OTHER + 2 * DESCRIPTORS_LEAST)
        return DESCRIPTORS_LEAST;
    return (size_t)(limit.rlim_cur - DESCRIPTORS_OTHER) / 2;
}

static int open_cache(struct rooms *rooms, bool behind, struct error *err)
{
    const struct mount_options *options = rooms->options;
    struct blob_cache_options cache = { .quota_bytes = options->cache_size,
                                        .free_bytes = options->cache_free,
                                        .descriptors = cache_descriptors(),
                                        .scan_behind = behind };
    struct statvfs system;
    int r = file_make_directories(options->cache, 0700, err);

    if (r < 0)
        return error_prefix(err, r, "cache");
    if (options->cache_free == 0 && statvfs(options->cache, &system) == 0)
        cache.free_bytes =
            (uint64_t)system.f_blocks * system.f_frsize / 100 * options->cache_free_percent;
    r = pins_open(options->cache, &rooms->pins, err);
    if (r < 0)
        return r;
    cache.keeper = pins_keeper(rooms->pins);
    r = blob_cache_open(options->cache, &cache, &rooms->cache, err);
    if (r < 0)
        return error_prefix(err, r, "cache");
    pins_use(rooms->pins, rooms->cache);
    return 0;
}

/* A directory of ours in the cache; NULL when it cannot be made: then nothing is kept there. */
static char *place_in_cache(const struct rooms *rooms, const char *name)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAX_SIZE_TEXT);

    buf_format(&path, "%s/%s", rooms->options->cache, name);
    if (buf_check(&path, NULL) < 0 || file_make_directories(buf_text(&path), 0700, NULL) < 0)
        return NULL;
    return buf_take(&path);
}

char *rooms_own_file(const struct rooms *rooms, const char *directory)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAX_SIZE_TEXT);
    cleanup_memory char *place = place_in_cache(rooms, directory);
    char hex[DIGEST_HEX_SIZE];
    struct digest digest;

    buf_format(&path, "%s %s", rooms->entry.store, rooms->options->mountpoint);
    digest = digest_of_span(buf_span(&path));
    digest_hex(&digest, hex);
    buf_clear(&path);
    if (place == NULL)
        return NULL;
    buf_format(&path, "%s/%s", place, hex);
    return buf_take(&path);
}

/* Ids belong to a mount point and a store. Damaged or another's: no kernel remembers them, so they
 * start anew; in use by a second mount at the same place, or not writable: in memory. */
static int open_ids(struct rooms *rooms, struct error *err)
{
    cleanup_memory char *path = rooms_own_file(rooms, "ids");
    const char *store = rooms->entry.store;
    int r = -EROFS;

    /* One version alone has its indices for ids. */
    if (rooms->options->attached)
        return ids_open(NULL, store, &rooms->ids, err);
    if (path != NULL)
        r = ids_open(path, store, &rooms->ids, NULL);
    if (r == -EBADMSG && unlink(path) == 0)
        r = ids_open(path, store, &rooms->ids, NULL);
    return r == 0 ? 0 : ids_open(NULL, store, &rooms->ids, err);
}

static int open_engine(struct rooms *rooms, struct error *err)
{
    struct blob_fetch_options engine = { .client = rooms->client,
                                         .cache = rooms->cache,
                                         .memory_bytes = ENGINE_MEMORY };
    int r = workers_new(&rooms->workers, WORKERS, WORKERS_QUEUE, err);

    if (rooms->options->prefetch == PREFETCH_NONE)
        engine.window_bytes = BLOB_PIECE_SIZE;
    if (r == 0)
        r = blob_fetch_new(&rooms->engine, &engine, err);
    if (r == 0)
        r = reader_new(&rooms->reader, rooms->loop, rooms->engine, err);
    if (r == 0)
        r = open_ids(rooms, err);
    return r;
}

static int open_catalog(struct rooms *rooms, struct error *err)
{
    struct catalog_options options = {
        .loop = rooms->loop,
        .fetch = rooms->options->offline ? catalog_known_start : catalog_fetch_start,
        .fetch_context = &rooms->names_server,
        .number = ops_number,
        .number_context = &rooms->numbers,
        .only_project = rooms->options->only_project,
        .only_app = rooms->options->only_app,
    };

    rooms->names_server = (struct catalog_server){ rooms->client, rooms->known };
    rooms->numbers = (struct ops_numbers){ rooms->ids, rooms->known };
    return catalog_new(&rooms->catalog, &options, err);
}

/* prefetch=all */
static void tree_opened(void *context, const char *project, const char *app, const char *version)
{
    struct rooms *rooms = context;

    if (rooms->care != NULL)
        care_bring(rooms->care, project, app, version);
}

static int open_trees(struct rooms *rooms, struct error *err)
{
    struct tree_set_options options = {
        .loop = rooms->loop,
        .engine = rooms->engine,
        .client = rooms->client,
        .known = rooms->known,
        .workers = rooms->workers,
        .temporary = rooms->options->cache,
        .slot = ops_slot,
        .slot_context = &rooms->numbers,
    };

    rooms->records = place_in_cache(rooms, "records");
    options.records = rooms->records;
    if (rooms->options->prefetch == PREFETCH_ALL) {
        options.opened = tree_opened;
        options.opened_context = rooms;
    }
    return tree_set_new(&rooms->trees, &options, err);
}

static void first_read(void *context, struct tree_mount *mount, uint32_t slot)
{
    struct rooms *rooms = context;

    care_first_read(rooms->care, mount, slot);
}

/* Where the connection is made without it. */
static const char *why_not_passed(const struct rooms *rooms)
{
    if (!mount_options_want_passthrough(rooms->options))
        return "it is not switched on";
    if (!rooms->is_held)
        return "only a mount of root's has a holder, which could register files";
    return "the kernel does not offer it, as Linux 6.9 and later do";
}

static int open_ops(struct rooms *rooms, struct error *err)
{
    struct ops_options options = {
        .loop = rooms->loop,
        .client = rooms->client,
        .engine = rooms->engine,
        .cache = rooms->cache,
        .known = rooms->known,
        .workers = rooms->workers,
        .ids = rooms->ids,
        .catalog = rooms->catalog,
        .trees = rooms->trees,
        .reader = rooms->reader,
        .pins = rooms->pins,
        .usage = rooms_usage_of_ops(rooms),
        .store = rooms->entry.store,
        .cache_path = rooms->options->cache,
        .deadline_ms = rooms->options->deadline_ms,
        .umask = rooms->options->umask,
        .fetches_siblings = rooms->options->prefetch != PREFETCH_NONE && !rooms->options->offline,
        .strict_auth = rooms->options->strict_auth,
        .first_read = first_read,
        .first_read_context = rooms,
        .wants_passthrough = mount_options_want_passthrough(rooms->options),
        .without_passthrough = why_not_passed(rooms),
    };

    return ops_new(&rooms->ops, &options, err);
}

/* How long a start lasts. */
static uint64_t start_ms(void)
{
    const char *text = getenv(ROOMS_START_MS);
    uint64_t ms;

    return text != NULL && number_parse(span_text(text), START_MAX_MS, &ms, NULL) == 0 ? ms
                                                                                       : START_MS;
}

/* Under which name it is told what starts read; NULL: it is not. */
static const char *host_name(struct rooms *rooms)
{
    platform_host_name(rooms->host, sizeof(rooms->host));
    return rooms->options->learn && name_check(NAME_HOST, span_text(rooms->host), NULL) == 0
               ? rooms->host
               : NULL;
}

static int open_care(struct rooms *rooms, struct error *err)
{
    struct care_options options = {
        .loop = rooms->loop,
        .client = rooms->client,
        .engine = rooms->engine,
        .cache = rooms->cache,
        .trees = rooms->trees,
        .pins = rooms->pins,
        .store = rooms->entry.store,
        .directory = rooms->options->cache,
        .only_project = rooms->options->only_project,
        .only_app = rooms->options->only_app,
        .deadline_ms = rooms->options->deadline_ms,
        .scrub_bytes_per_s = rooms->options->scrub_rate,
        .scrub_every_ms = rooms->options->scrub_every_ms,
        .brings_starts = rooms->options->prefetch != PREFETCH_NONE,
        .host = host_name(rooms),
        .start_ms = start_ms(),
        .is_resumed = rooms->is_resumed,
        .resumed_slots = rooms->resumed_slots,
    };

    return care_new(&rooms->care, &options, err);
}

static int open_upper(struct rooms *rooms, struct error *err)
{
    int r = open_engine(rooms, err);

    if (r == 0)
        rooms->resumed_slots = ids_last_slot(rooms->ids);
    if (r == 0)
        r = open_catalog(rooms, err);
    if (r == 0)
        r = open_trees(rooms, err);
    if (r == 0)
        r = open_ops(rooms, err);
    if (r == 0)
        r = open_care(rooms, err);
    if (r == 0)
        r = rooms_usage_open(rooms, err);
    return r;
}

int rooms_open(struct rooms *rooms, const struct mount_options *options, struct rooms_given *given,
               enum exit_place *out_place, struct error *err)
{
    const char *store = given != NULL ? given->store : NULL;
    int r;

    rooms->options = options;
    rooms->is_resumed = given != NULL && given->is_resumed;
    rooms->is_held = given != NULL;
    *out_place = EXIT_OF_LOCAL;
    r = http_loop_new(&rooms->loop, NULL, err);
    if (r < 0)
        return r;
    *out_place = EXIT_OF_SERVER;
    r = open_client(rooms, given, err);
    if (r < 0)
        return r;
    *out_place = EXIT_OF_LOCAL;
    r = open_cache(rooms, store != NULL, err); /* a worker that follows has no time */
    if (r < 0)
        return r;
    *out_place = EXIT_OF_SERVER;
    r = store != NULL
            ? store_entry_resume(&rooms->entry, rooms->client, options, store, &rooms->known, err)
            : store_entry_find(&rooms->entry, rooms->client, options, &rooms->known, err);
    if (r < 0)
        return r;
    *out_place = EXIT_OF_LOCAL;
    return open_upper(rooms, err);
}

static void looked(void *context, struct catalog_list *list, const struct error *err)
{
    catalog_list_unref(list);
}

void rooms_look_at_server(struct rooms *rooms)
{
    const struct mount_options *options = rooms->options;

    if (options->offline)
        return;
    catalog_fetch_start(&rooms->names_server, options->only_project, options->only_app,
                        clock_monotonic_ms() + options->deadline_ms, looked, rooms, NULL);
}

/* Lets what was begun come to its end, for a moment; true when nothing is left. */
static bool drain(struct rooms *rooms)
{
    uint64_t end_ms = clock_monotonic_ms() + DRAIN_MS;
    bool idle = false, leases_said = false;

    while (!(idle && leases_said) && clock_monotonic_ms() < end_ms) {
        if (http_loop_run_once(rooms->loop, TURN_MS, NULL) < 0)
            break;
        leases_said = usage_is_idle(rooms->usage);
        idle = ops_is_idle(rooms->ops) && care_is_idle(rooms->care) &&
               catalog_is_idle(rooms->catalog) && tree_set_is_idle(rooms->trees);
    }
    usage_give_up(rooms->usage);
    return idle && usage_is_idle(rooms->usage);
}

/* From the roof down; whoever holds something below is gone before it. */
static void close_all(struct rooms *rooms)
{
    catalog_free(rooms->catalog);
    tree_set_free(rooms->trees);
    reader_free(rooms->reader);
    /* Trees are closed by the loop. */
    http_loop_run_once(rooms->loop, 0, NULL);
    http_loop_run_once(rooms->loop, 0, NULL);
    blob_fetch_free(rooms->engine);
    care_free(rooms->care);
    ops_free(rooms->ops);
    ids_close(rooms->ids);
    known_versions_close(rooms->known);
    api_client_free(rooms->client);
    http_loop_free(rooms->loop);
    usage_free(rooms->usage);
    blob_cache_close(rooms->cache);
    pins_close(rooms->pins);
}

bool rooms_close(struct rooms *rooms, bool is_over)
{
    bool idle = true;

    care_end(rooms->care);
    usage_end(rooms->usage, is_over);
    if (rooms->ops != NULL)
        idle = drain(rooms);
    rooms->workers = workers_free(rooms->workers);
    if (idle && rooms->loop != NULL) {
        close_all(rooms);
    } else if (rooms->cache != NULL) {
        /* Something waits for a server that is silent. The process ends: what is on disk is
         * whole. */
        blob_cache_flush(rooms->cache);
    }
    if (idle) {
        rooms->records = memory_free(rooms->records);
        rooms->uses = memory_free(rooms->uses);
    }
    return idle;
}
