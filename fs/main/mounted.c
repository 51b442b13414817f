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
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "common/base/platform.h"
#include "common/client/api_client.h"
#include "common/codec/json.h"
#include "common/net/http_loop.h"
#include "fs/main/control.h"
#include "fs/main/control_path.h"
#include "fs/main/mount_options.h"
#include "fs/main/rooms.h"
#include "fs/session/session.h"

#define SUBTYPE "kkartifact"

struct mounted {
    const struct mount_options *options;
    struct rooms rooms;
    struct session *session;
    struct control *control;
    char *log_path;
    pthread_t loop_thread;
    bool loop_runs;
    atomic_bool stopping;
    struct http_watch signals;
};

static int tell_status(struct mounted *mounted, struct json_writer *writer)
{
    const struct api_client *client = mounted->rooms.client;

    json_text(writer, "mountpoint", mounted->options->mountpoint);
    json_text(writer, "server", api_client_server(client, api_client_current(client)));
    json_text(writer, "store", mounted->rooms.entry.store);
    json_text(writer, "version", KKARTIFACT_VERSION);
    ops_status_json(mounted->rooms.ops, writer);
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
        return ops_node_json(mounted->rooms.ops, node, writer, err);
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

    http_watch_add(mounted->rooms.loop, &mounted->signals);
    if (http_loop_run_until(mounted->rooms.loop, is_stopping, mounted, UINT64_MAX, &err) < 0) {
        log_error("the event loop ended: %s", err.text);
        session_stop(mounted->session);
    }
    http_watch_remove(mounted->rooms.loop, &mounted->signals);
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
                          mounted->rooms.ops, err);

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
        r = rooms_open(&mounted->rooms, mounted->options, place, err);
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

struct mounted *mounted_close(struct mounted *mounted)
{
    bool idle;

    if (mounted == NULL)
        return NULL;
    control_stop(mounted->control);
    stop_loop(mounted);
    ops_end(mounted->rooms.ops);
    session_close(mounted->session);
    idle = rooms_close(&mounted->rooms);
    if (mounted->signals.fd >= 0)
        close(mounted->signals.fd);
    if (mounted->log_path != NULL)
        unlink(mounted->log_path);
    if (!idle)
        return NULL;
    memory_free(mounted->log_path);
    return memory_free(mounted);
}
