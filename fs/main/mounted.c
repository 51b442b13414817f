/* SPDX-License-Identifier: MIT */
#include "fs/main/mounted.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "common/base/platform.h"
#include "common/base/utf8.h"
#include "common/client/api_client.h"
#include "common/client/blob_cache.h"
#include "common/codec/json.h"
#include "common/net/http_loop.h"
#include "fs/care/care.h"
#include "fs/control/control.h"
#include "fs/control/control_path.h"
#include "fs/control/scrape.h"
#include "fs/control/scrape_address.h"
#include "fs/main/attached.h"
#include "fs/main/backing_client.h"
#include "fs/main/following.h"
#include "fs/main/looking.h"
#include "fs/main/metrics.h"
#include "fs/main/mount_options.h"
#include "fs/main/rooms.h"
#include "fs/main/worker.h"
#include "fs/main/worker_config.h"
#include "fs/opens/open_table.h"
#include "fs/ring/ring.h"
#include "fs/session/session.h"
#include "fs/usage/usage.h"

#define SUBTYPE "kkartifact"
#define BEAT_MS 1000

struct mounted {
    const struct mount_options *options;
    struct rooms rooms;
    struct session *session;
    struct control_socket socket; /* of a mount without a holder */
    struct control *control;
    struct metrics_source metrics;
    struct scrape *scrape;
    int scraped;                        /* of a mount without a holder: listens; else -1 */
    const struct worker_config *config; /* of a worker; else NULL */
    struct ring *ring;                  /* its connection's */
    struct open_table *opens;           /* ... or NULL */
    struct http_watch holder;           /* what the holder says */
    struct looking looking;             /* of a mount without a holder */
    struct http_timer beat;             /* it sees that the loop turns */
    struct following *following;        /* of an attach to a channel; else NULL */
    atomic_bool holder_gone, leaving;
    char *log_path;
    pthread_t loop_thread;
    bool loop_runs;
    atomic_bool stopping;
    bool is_over; /* the mount has ended as it should */
    struct http_watch signals;
};

/* How the mount stands with the kernel, and where its cache is. */
static void tell_kernel(const struct mounted *mounted, struct json_writer *writer)
{
    const struct worker_config *config = mounted->config;
    const char *cache = config != NULL ? config->cache_path : mounted->options->cache;
    unsigned major_number, minor_number;
    char protocol[32];

    session_protocol(mounted->session, &major_number, &minor_number);
    (void)snprintf(protocol, sizeof(protocol), "%u.%u", major_number, minor_number);
    json_text(writer, "protocol", protocol);
    if (utf8_is_valid(span_text(cache)))
        json_text(writer, "cache_directory", cache);
}

static int tell_status(struct mounted *mounted, struct json_writer *writer)
{
    const struct api_client *client = mounted->rooms.client;

    json_text(writer, "mountpoint", mounted->options->mountpoint);
    json_text(writer, "server", api_client_server(client, api_client_current(client)));
    json_text(writer, "store", mounted->rooms.entry.store);
    json_text(writer, "version", KKARTIFACT_VERSION);
    tell_kernel(mounted, writer);
    ops_status_json(mounted->rooms.ops, writer);
    care_status_json(mounted->rooms.care, writer);
    attached_json(mounted->config, mounted->following, writer);
    usage_tell_all(mounted->rooms.usage, writer);
    if (mounted->config != NULL) {
        worker_status(mounted->config, !atomic_load(&mounted->holder_gone), true, writer);
        return 0;
    }
    json_null(writer, "holder");
    json_begin_object(writer, "worker");
    json_integer(writer, "pid", getpid());
    json_integer(writer, "restarts", 0);
    json_integer(writer, "uid", (int64_t)geteuid());
    json_end(writer);
    return 0;
}

/* The process that ends when the mount has ended. */
static int64_t lasting_process(struct mounted *mounted)
{
    return mounted->config != NULL && !atomic_load(&mounted->holder_gone) ? mounted->config->holder
                                                                          : getpid();
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
        json_integer(writer, "pid", lasting_process(mounted));
        return 0;
    }
    if (strcmp(ask, "stat") == 0 &&
        number_parse(span_text(node_text), UINT64_MAX, &node, NULL) == 0)
        return ops_node_json(mounted->rooms.ops, node, writer, err);
    return care_answer(mounted->rooms.care, ask, question, writer, err);
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
    r = control_socket_open(&mounted->socket, buf_text(&path), err);
    return r == 0
               ? control_start(&mounted->control, mounted->socket.fd, answer_control, mounted, err)
               : r;
}

static void on_signal(void *context)
{
    struct mounted *mounted = context;
    struct signalfd_siginfo info;

    if (read(mounted->signals.fd, &info, sizeof(info)) != (ssize_t)sizeof(info) ||
        info.ssi_signo == SIGHUP)
        return;
    if (mounted->config != NULL) {
        /* What is cached is to be there for the next one; meanwhile the readers go on. */
        blob_cache_flush(mounted->rooms.cache);
        usage_save(mounted->rooms.usage);
        atomic_store(&mounted->leaving, true);
    }
    session_stop(mounted->session);
}

static void on_holder(void *context)
{
    struct mounted *mounted = context;
    struct worker_heard heard;

    switch (worker_hear(mounted->holder.fd, mounted->rooms.usage, &heard)) {
    case WORKER_HEARD_NOTHING:
        break;
    case WORKER_HEARD_BACKING:
        ops_backing_came(mounted->rooms.ops, heard.backing.number, heard.backing.result,
                         heard.backing.id);
        break;
    case WORKER_HEARD_FOLLOW:
    case WORKER_HEARD_REST:
        if (mounted->following != NULL)
            following_set(mounted->following, heard.what == WORKER_HEARD_FOLLOW);
        break;
    case WORKER_HEARD_REFUSED:
        if (mounted->following != NULL)
            following_refused(mounted->following, heard.why.text);
        break;
    case WORKER_HEARD_END:
        session_stop(mounted->session);
        break;
    case WORKER_HEARD_GONE:
        http_watch_remove(mounted->rooms.loop, &mounted->holder);
        atomic_store(&mounted->holder_gone, true);
        following_end(mounted->following);
        log_error("the holder is gone: the mount goes on, but nothing will follow this worker");
        break;
    }
}

static void on_beat(void *context)
{
    struct mounted *mounted = context;
    uint64_t now_ms = clock_monotonic_ms();

    ring_beat(mounted->ring, now_ms);
    http_timer_set(mounted->rooms.loop, &mounted->beat, now_ms + BEAT_MS);
}

/* Without the option nothing listens. */
static int start_metrics(struct mounted *mounted, int listening, struct error *err)
{
    if (listening < 0)
        return 0;
    mounted->metrics = (struct metrics_source){ .rooms = &mounted->rooms,
                                                .config = mounted->config,
                                                .holder_gone = &mounted->holder_gone,
                                                .started_ms = clock_monotonic_ms() };
    return scrape_start(&mounted->scrape, listening, metrics_write, &mounted->metrics, err);
}

static int open_metrics(struct mounted *mounted, struct error *err)
{
    const char *address = mounted->options->metrics;
    int r = address != NULL ? scrape_address_listen(address, &mounted->scraped, err) : 0;

    return r < 0 ? error_prefix(err, r, "metrics") : start_metrics(mounted, mounted->scraped, err);
}

static void close_metrics(struct mounted *mounted)
{
    mounted->scrape = scrape_stop(mounted->scrape);
    if (mounted->scraped < 0)
        return;
    scrape_address_remove(mounted->options->metrics);
    close(mounted->scraped);
    mounted->scraped = -1;
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

    http_watch_add(mounted->rooms.loop, &mounted->signals);
    if (mounted->config != NULL) {
        http_watch_add(mounted->rooms.loop, &mounted->holder);
        on_beat(mounted);
        if (mounted->following != NULL && mounted->config->follows)
            following_set(mounted->following, true);
        if (mounted->config->store != NULL && !mounted->config->is_new)
            rooms_look_at_server(&mounted->rooms);
    } else {
        looking_start(&mounted->looking, mounted->rooms.loop, mounted->rooms.usage,
                      session_device(mounted->session));
    }
    usage_start(mounted->rooms.usage);
    if (http_loop_run_until(mounted->rooms.loop, is_stopping, mounted, UINT64_MAX, &err) < 0) {
        log_error("the event loop ended: %s", err.text);
        session_stop(mounted->session);
    }
    http_watch_remove(mounted->rooms.loop, &mounted->signals);
    looking_stop(&mounted->looking);
    if (mounted->config != NULL) {
        http_timer_clear(mounted->rooms.loop, &mounted->beat);
        if (!atomic_load(&mounted->holder_gone))
            http_watch_remove(mounted->rooms.loop, &mounted->holder);
    }
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

static void stop_loop(struct mounted *mounted)
{
    if (!mounted->loop_runs)
        return;
    atomic_store(&mounted->stopping, true);
    http_loop_wake(mounted->rooms.loop);
    pthread_join(mounted->loop_thread, NULL);
    mounted->loop_runs = false;
}

struct session_options mounted_session_options(const struct mount_options *options)
{
    return (struct session_options){
        .source = options->servers[0],
        .subtype = SUBTYPE,
        .uid = options->uid,
        .gid = options->gid,
        .allow_other = geteuid() == 0,
        .xattr = options->xattr,
        .noexec = options->noexec,
    };
}

/* To whoever asked for it. */
static void say_passthrough(struct mounted *mounted)
{
    char why[ERROR_TEXT_SIZE];

    if (mounted->options->passthrough != PASSTHROUGH_ON)
        return;
    ops_without_passthrough(mounted->rooms.ops, why);
    if (why[0] == '\0')
        log_info("passthrough: the kernel reads complete files by itself");
    else
        log_warning("no passthrough: %s", why);
}

static int mount_it(struct mounted *mounted, struct error *err)
{
    const struct mount_options *options = mounted->options;
    struct session_options session = mounted_session_options(options);
    int r = session_mount(&mounted->session, options->mountpoint, &session, &ops_table,
                          mounted->rooms.ops, err);

    if (r == 0)
        r = start_control(mounted, err);
    if (r == 0)
        r = start_loop(mounted, err);
    if (r == 0)
        r = care_start(mounted->rooms.care, err);
    if (r == 0)
        r = open_metrics(mounted, err);
    if (r == 0)
        say_passthrough(mounted);
    return r;
}

int mounted_open_rooms(struct mounted **out_mounted, const struct mount_options *options,
                       struct rooms_given *given, enum exit_place *out_place, struct error *err)
{
    struct mounted *mounted = memory_new(sizeof(*mounted));
    int r;

    *out_place = EXIT_OF_LOCAL;
    if (mounted == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    mounted->options = options;
    mounted->signals.fd = mounted->socket.fd = mounted->scraped = -1;
    r = take_signals(mounted, err);
    if (r == 0)
        r = rooms_open(&mounted->rooms, options, given, out_place, err);
    if (r < 0) {
        mounted_close(mounted);
        return r;
    }
    *out_mounted = mounted;
    return 0;
}

int mounted_open(struct mounted **out_mounted, const struct mount_options *options,
                 enum exit_place *out_place, struct error *err)
{
    struct mounted *mounted = NULL;
    int r;

    if (chdir("/") < 0)
        log_debug("the working directory stays");
    r = mounted_open_rooms(&mounted, options, NULL, out_place, err);
    if (r < 0)
        return r;
    r = mount_it(mounted, err);
    if (r < 0) {
        mounted_close(mounted);
        return r;
    }
    *out_mounted = mounted;
    return 0;
}

struct rooms *mounted_rooms(struct mounted *mounted)
{
    return &mounted->rooms;
}

static int make_following(struct mounted *mounted, int socket, struct error *err)
{
    const struct following_options options = {
        .rooms = &mounted->rooms,
        .channel = mounted->options->attach_channel,
        .version = mounted->config->version,
        .whole = mounted->options->attach_prefetch,
        .socket = socket,
    };

    return options.channel != NULL && !mounted->options->offline
               ? following_new(&mounted->following, &options, err)
               : 0;
}

/* The connection was made so that the kernel asks to open files. */
static int use_opens(struct mounted *mounted, struct error *err)
{
    struct ops_opens opens = {
        .passes = mount_options_want_passthrough(mounted->options),
        .backing_open = backing_client_open,
        .backing_close = backing_client_close,
        .context = &mounted->holder.fd,
    };
    int r = open_table_attach(mounted->config->opens, &mounted->opens, err);

    opens.table = mounted->opens;
    return r == 0 ? ops_use_opens(mounted->rooms.ops, &opens, err) : r;
}

/* When it is mounted, so that whoever does it is told. */
static int try_backing(struct mounted *mounted, struct error *err)
{
    struct worker_backing backing;
    int r = backing_client_probe(mounted->holder.fd, mounted->options->cache, &backing);

    if (r == 0)
        ops_backing_came(mounted->rooms.ops, backing.number, backing.result, backing.id);
    return r == -ECANCELED ? error_set(err, r, "interrupted") : 0;
}

int mounted_serve(struct mounted *mounted, const struct worker_config *config,
                  const struct session_connection *connection, int socket, struct error *err)
{
    struct session_options options = mounted_session_options(mounted->options);
    int r = 0;

    mounted->ring = connection->ring;
    mounted->beat = (struct http_timer){ .function = on_beat, .context = mounted };
    mounted->holder =
        (struct http_watch){ .function = on_holder, .context = mounted, .fd = socket };
    mounted->config = config;
    options.opens = config->opens >= 0;
    if (options.opens)
        r = use_opens(mounted, err);
    if (r == 0)
        r = session_adopt(&mounted->session, mounted->options->mountpoint, connection, &options,
                          &ops_table, mounted->rooms.ops, err);
    if (r == 0 && mounted->opens != NULL && config->restarts == 0)
        r = try_backing(mounted, err);
    if (r == 0)
        r = make_following(mounted, socket, err);
    if (r == 0)
        r = control_start(&mounted->control, config->control, answer_control, mounted, err);
    if (r == 0)
        r = start_loop(mounted, err);
    /* While whoever mounts still listens. */
    if (r == 0 && config->store == NULL)
        say_passthrough(mounted);
    if (r == 0)
        r = attached_tell_serving(config, mounted->rooms.entry.store, socket, err);
    if (r == 0)
        r = care_start(mounted->rooms.care, err);
    if (r == 0)
        r = start_metrics(mounted, config->metrics, err);
    return r;
}

bool mounted_leaves(const struct mounted *mounted)
{
    return atomic_load(&mounted->leaving);
}

const char *mounted_log_path(const struct mounted *mounted)
{
    return mounted->log_path;
}

int mounted_run(struct mounted *mounted, struct error *err)
{
    int r = session_run(mounted->session, err);

    mounted->is_over = r == 0;
    return r;
}

bool mounted_close(struct mounted *mounted)
{
    bool idle;

    if (mounted == NULL)
        return true;
    close_metrics(mounted);
    control_stop(mounted->control);
    control_socket_close(&mounted->socket);
    stop_loop(mounted);
    following_end(mounted->following);
    ops_end(mounted->rooms.ops);
    session_close(mounted->session);
    idle = rooms_close(&mounted->rooms, mounted->is_over);
    if (mounted->signals.fd >= 0)
        close(mounted->signals.fd);
    if (mounted->log_path != NULL)
        unlink(mounted->log_path);
    if (!idle)
        return false;
    following_free(mounted->following);
    open_table_detach(mounted->opens);
    memory_free(mounted->log_path);
    memory_free(mounted);
    return true;
}
