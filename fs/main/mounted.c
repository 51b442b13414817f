/* SPDX-License-Identifier: MIT */
#include "fs/main/mounted.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/signalfd.h>
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
#include "common/codec/json.h"
#include "common/net/http_loop.h"
#include "fs/catalog/catalog.h"
#include "fs/catalog/catalog_fetch.h"
#include "fs/ids/ids.h"
#include "fs/main/control.h"
#include "fs/main/control_path.h"
#include "fs/main/mount_options.h"
#include "fs/main/store_entry.h"
#include "fs/ops/ops.h"
#include "fs/reader/reader.h"
#include "fs/session/session.h"
#include "fs/tree_mount/tree_set.h"

#define SUBTYPE "kkartifact"
#define ENGINE_MEMORY ((uint64_t)24 * 1024 * 1024)
#define WORKERS 1
#define WORKERS_QUEUE 64
#define DRAIN_MS 1000
#define TURN_MS 20
#define PATH_MAX_SIZE_TEXT 8192

struct mounted {
    const struct mount_options *options;
    struct http_loop *loop;
    struct api_client *client;
    struct blob_cache *cache;
    struct store_entry entry;
    struct known_versions *known;
    struct blob_fetch *engine;
    struct workers *workers;
    struct ids *ids;
    struct catalog_server names_server;
    struct ops_numbers numbers;
    struct catalog *catalog;
    struct tree_set *trees;
    struct reader *reader;
    struct ops *ops;
    struct session *session;
    struct control *control;
    char *records, *log_path;
    pthread_t loop_thread;
    bool loop_runs;
    atomic_bool stopping;
    struct http_watch signals;
};

static int open_client(struct mounted *mounted, struct error *err)
{
    const struct mount_options *options = mounted->options;
    struct api_client_options client = {
        .loop = mounted->loop,
        .servers = (const char *const *)options->servers,
        .server_count = options->server_count,
        .ca_file = options->ca_file,
        .user_agent = "kkartifact-fs/" KKARTIFACT_VERSION,
        .insecure = options->insecure,
        .timeout_ms = options->deadline_ms,
    };
    int r = 0;

    if (options->token_file != NULL)
        r = secret_load(options->token_file, &client.token, err);
    if (r < 0)
        return error_prefix(err, -EINVAL, "token_file");
    return api_client_new(&mounted->client, &client, err);
}

static int open_cache(struct mounted *mounted, struct error *err)
{
    const struct mount_options *options = mounted->options;
    struct blob_cache_options cache = { .quota_bytes = options->cache_size,
                                        .free_bytes = options->cache_free };
    struct statvfs system;
    int r = file_make_directories(options->cache, 0700, err);

    if (r < 0)
        return error_prefix(err, r, "cache");
    if (options->cache_free == 0 && statvfs(options->cache, &system) == 0)
        cache.free_bytes =
            (uint64_t)system.f_blocks * system.f_frsize / 100 * options->cache_free_percent;
    r = blob_cache_open(options->cache, &cache, &mounted->cache, err);
    return r < 0 ? error_prefix(err, r, "cache") : 0;
}

/* A directory of ours in the cache; NULL when it cannot be made: then nothing is kept there. */
static char *place_in_cache(const struct mounted *mounted, const char *name)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAX_SIZE_TEXT);

    buf_format(&path, "%s/%s", mounted->options->cache, name);
    if (buf_check(&path, NULL) < 0 || file_make_directories(buf_text(&path), 0700, NULL) < 0)
        return NULL;
    return buf_take(&path);
}

/* Ids belong to a mount point and a store. Damaged or another's: no kernel remembers them, so they
 * start anew; in use by a second mount at the same place, or not writable: in memory. */
static int open_ids(struct mounted *mounted, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAX_SIZE_TEXT);
    cleanup_memory char *directory = place_in_cache(mounted, "ids");
    const char *store = mounted->entry.store;
    char hex[DIGEST_HEX_SIZE];
    struct digest digest;
    int r = -EROFS;

    buf_format(&path, "%s %s", store, mounted->options->mountpoint);
    digest = digest_of_span(buf_span(&path));
    digest_hex(&digest, hex);
    buf_clear(&path);
    if (directory != NULL) {
        buf_format(&path, "%s/%s", directory, hex);
        r = buf_check(&path, NULL);
    }
    if (r == 0)
        r = ids_open(buf_text(&path), store, &mounted->ids, NULL);
    if (r == -EBADMSG && unlink(buf_text(&path)) == 0)
        r = ids_open(buf_text(&path), store, &mounted->ids, NULL);
    return r == 0 ? 0 : ids_open(NULL, store, &mounted->ids, err);
}

static int open_engine(struct mounted *mounted, struct error *err)
{
    struct blob_fetch_options engine = { .client = mounted->client,
                                         .cache = mounted->cache,
                                         .memory_bytes = ENGINE_MEMORY };
    int r = workers_new(&mounted->workers, WORKERS, WORKERS_QUEUE, err);

    if (r == 0)
        r = blob_fetch_new(&mounted->engine, &engine, err);
    if (r == 0)
        r = reader_new(&mounted->reader, mounted->loop, mounted->engine, err);
    if (r == 0)
        r = open_ids(mounted, err);
    return r;
}

static int open_catalog(struct mounted *mounted, struct error *err)
{
    struct catalog_options options = {
        .loop = mounted->loop,
        .fetch = catalog_fetch_start,
        .fetch_context = &mounted->names_server,
        .number = ops_number,
        .number_context = &mounted->numbers,
        .only_project = mounted->options->only_project,
        .only_app = mounted->options->only_app,
    };

    mounted->names_server.client = mounted->client;
    mounted->numbers = (struct ops_numbers){ mounted->ids, mounted->known };
    return catalog_new(&mounted->catalog, &options, err);
}

static int open_trees(struct mounted *mounted, struct error *err)
{
    struct tree_set_options options = {
        .loop = mounted->loop,
        .engine = mounted->engine,
        .client = mounted->client,
        .known = mounted->known,
        .workers = mounted->workers,
        .temporary = mounted->options->cache,
        .slot = ops_slot,
        .slot_context = &mounted->numbers,
    };

    mounted->records = place_in_cache(mounted, "records");
    options.records = mounted->records;
    return tree_set_new(&mounted->trees, &options, err);
}

static int open_ops(struct mounted *mounted, struct error *err)
{
    struct ops_options options = {
        .loop = mounted->loop,
        .client = mounted->client,
        .engine = mounted->engine,
        .cache = mounted->cache,
        .known = mounted->known,
        .workers = mounted->workers,
        .ids = mounted->ids,
        .catalog = mounted->catalog,
        .trees = mounted->trees,
        .reader = mounted->reader,
        .cache_path = mounted->options->cache,
        .deadline_ms = mounted->options->deadline_ms,
        .umask = mounted->options->umask,
        .strict_auth = mounted->options->strict_auth,
    };

    return ops_new(&mounted->ops, &options, err);
}

static int open_rooms(struct mounted *mounted, struct error *err)
{
    int r = open_engine(mounted, err);

    if (r == 0)
        r = open_catalog(mounted, err);
    if (r == 0)
        r = open_trees(mounted, err);
    if (r == 0)
        r = open_ops(mounted, err);
    return r;
}

static int tell_status(struct mounted *mounted, struct json_writer *writer)
{
    const struct api_client *client = mounted->client;

    json_text(writer, "mountpoint", mounted->options->mountpoint);
    json_text(writer, "server", api_client_server(client, api_client_current(client)));
    json_text(writer, "store", mounted->entry.store);
    json_text(writer, "version", KKARTIFACT_VERSION);
    ops_status_json(mounted->ops, writer);
    json_begin_object(writer, "worker");
    json_integer(writer, "pid", getpid());
    json_integer(writer, "restarts", 0);
    json_end(writer);
    return 0;
}

static int answer_control(void *context, const struct json_value *question,
                          struct json_writer *writer, struct error *err)
{
    struct mounted *mounted = context;
    const char *ask = "", *node_text = "";
    uint64_t node = 0;

    json_member_text(question, "ask", &ask, NULL);
    json_member_text(question, "node", &node_text, NULL);
    if (strcmp(ask, "status") == 0)
        return tell_status(mounted, writer);
    if (strcmp(ask, "pid") == 0) {
        json_integer(writer, "pid", getpid());
        return 0;
    }
    if (strcmp(ask, "stat") == 0 &&
        number_parse(span_text(node_text), UINT64_MAX, &node, NULL) == 0)
        return ops_node_json(mounted->ops, node, writer, err);
    return error_set(err, -EINVAL, "this is not asked of a mount");
}

static int start_control(struct mounted *mounted, struct error *err)
{
    cleanup(buf_release) struct buf directory = buf_init(4096), path = buf_init(4096),
                                    log = buf_init(4096);
    uint64_t device = session_device(mounted->session);
    int r = control_path_directory(&directory, err);

    if (r < 0)
        return r;
    control_path_socket(&path, buf_text(&directory), device);
    control_path_log(&log, buf_text(&directory), device);
    r = buf_check(&path, err);
    if (r == 0)
        r = buf_check(&log, err);
    if (r < 0)
        return r;
    mounted->log_path = buf_take(&log);
    return control_start(&mounted->control, buf_text(&path), answer_control, mounted, err);
}

static void on_signal(void *context)
{
    struct mounted *mounted = context;
    struct signalfd_siginfo info;

    if (read(mounted->signals.fd, &info, sizeof(info)) == (ssize_t)sizeof(info) &&
        info.ssi_signo != SIGHUP)
        session_stop(mounted->session);
}

static int take_signals(struct mounted *mounted, struct error *err)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    mounted->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (mounted->signals.fd < 0)
        return error_system(err, errno, "signalfd");
    mounted->signals.function = on_signal;
    mounted->signals.context = mounted;
    return 0;
}

static bool is_stopping(void *context)
{
    struct mounted *mounted = context;

    return atomic_load(&mounted->stopping);
}

static void *loop_main(void *context)
{
    struct mounted *mounted = context;
    struct error err = { 0 };

    http_watch_add(mounted->loop, &mounted->signals);
    if (http_loop_run_until(mounted->loop, is_stopping, mounted, UINT64_MAX, &err) < 0) {
        log_error("the event loop ended: %s", err.text);
        session_stop(mounted->session);
    }
    http_watch_remove(mounted->loop, &mounted->signals);
    return NULL;
}

static int start_loop(struct mounted *mounted, struct error *err)
{
    int r = platform_thread_start(&mounted->loop_thread, loop_main, mounted);

    if (r != 0)
        return error_system(err, r, "thread");
    mounted->loop_runs = true;
    return 0;
}

static int mount_it(struct mounted *mounted, struct error *err)
{
    const struct mount_options *options = mounted->options;
    struct session_options session = {
        .source = options->servers[0],
        .subtype = SUBTYPE,
        .uid = options->uid,
        .gid = options->gid,
        .allow_other = geteuid() == 0,
        .xattr = options->xattr,
        .noexec = options->noexec,
    };
    int r = session_mount(&mounted->session, options->mountpoint, &session, &ops_table,
                          mounted->ops, err);

    if (r == 0)
        r = start_control(mounted, err);
    if (r == 0)
        r = start_loop(mounted, err);
    return r;
}

/* In order; the first failure ends it. */
static int open_all(struct mounted *mounted, enum exit_place *place, struct error *err)
{
    int r = take_signals(mounted, err);

    *place = EXIT_OF_LOCAL;
    if (r == 0)
        r = http_loop_new(&mounted->loop, NULL, err);
    if (r < 0)
        return r;
    *place = EXIT_OF_SERVER;
    r = open_client(mounted, err);
    if (r < 0)
        return r;
    *place = EXIT_OF_LOCAL;
    r = open_cache(mounted, err);
    if (r < 0)
        return r;
    *place = EXIT_OF_SERVER;
    r = store_entry_find(&mounted->entry, mounted->client, mounted->options, &mounted->known, err);
    if (r < 0)
        return r;
    *place = EXIT_OF_LOCAL;
    r = open_rooms(mounted, err);
    return r == 0 ? mount_it(mounted, err) : r;
}

int mounted_open(struct mounted **out_mounted, const struct mount_options *options,
                 enum exit_place *out_place, struct error *err)
{
    struct mounted *mounted = memory_new(sizeof(*mounted));
    int r;

    if (mounted == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    mounted->options = options;
    mounted->signals.fd = -1;
    if (chdir("/") < 0)
        log_debug("the working directory stays");
    r = open_all(mounted, out_place, err);
    if (r < 0) {
        mounted_close(mounted);
        return r;
    }
    *out_mounted = mounted;
    return 0;
}

const char *mounted_log_path(const struct mounted *mounted)
{
    return mounted->log_path;
}

int mounted_run(struct mounted *mounted, struct error *err)
{
    return session_run(mounted->session, err);
}

/* Lets what was begun come to its end, for a moment; true when nothing is left. */
static bool drain(struct mounted *mounted)
{
    uint64_t end_ms = clock_monotonic_ms() + DRAIN_MS;
    bool idle = false;

    while (!idle && clock_monotonic_ms() < end_ms) {
        if (http_loop_run_once(mounted->loop, TURN_MS, NULL) < 0)
            break;
        idle = ops_is_idle(mounted->ops) && catalog_is_idle(mounted->catalog) &&
               tree_set_is_idle(mounted->trees);
    }
    return idle;
}

static void stop_loop(struct mounted *mounted)
{
    if (!mounted->loop_runs)
        return;
    atomic_store(&mounted->stopping, true);
    http_loop_wake(mounted->loop);
    pthread_join(mounted->loop_thread, NULL);
    mounted->loop_runs = false;
}

/* From the roof down; whoever holds something below is gone before it. */
static void close_rooms(struct mounted *mounted)
{
    catalog_free(mounted->catalog);
    tree_set_free(mounted->trees);
    reader_free(mounted->reader);
    /* Trees are closed by the loop. */
    http_loop_run_once(mounted->loop, 0, NULL);
    http_loop_run_once(mounted->loop, 0, NULL);
    blob_fetch_free(mounted->engine);
    ops_free(mounted->ops);
    ids_close(mounted->ids);
    known_versions_close(mounted->known);
    api_client_free(mounted->client);
    http_loop_free(mounted->loop);
    blob_cache_close(mounted->cache);
}

struct mounted *mounted_close(struct mounted *mounted)
{
    bool idle = true;

    if (mounted == NULL)
        return NULL;
    control_stop(mounted->control);
    stop_loop(mounted);
    ops_end(mounted->ops);
    session_close(mounted->session);
    if (mounted->ops != NULL)
        idle = drain(mounted);
    mounted->workers = workers_free(mounted->workers);
    if (idle && mounted->loop != NULL) {
        close_rooms(mounted);
    } else if (mounted->cache != NULL) {
        /* Something waits for a server that is silent. The process ends: what is on disk is
         * whole. */
        blob_cache_flush(mounted->cache);
    }
    if (mounted->signals.fd >= 0)
        close(mounted->signals.fd);
    if (mounted->log_path != NULL)
        unlink(mounted->log_path);
    if (!idle)
        return NULL;
    memory_free(mounted->records);
    memory_free(mounted->log_path);
    return memory_free(mounted);
}
