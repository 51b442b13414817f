/* SPDX-License-Identifier: MIT */
#include "fs/main/refusal.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/platform.h"
#include "common/codec/json.h"
#include "fs/control/control.h"
#include "fs/holder/message.h"
#include "fs/main/exit_code.h"
#include "fs/main/mounted.h"
#include "fs/main/worker.h"
#include "fs/main/worker_config.h"
#include "fs/opens/open_table.h"
#include "fs/ops/task.h"
#include "fs/ring/ring.h"
#include "fs/session/session.h"

#define TURN_MS 25

struct waiting {
    struct session_request *request;
    uint64_t asked_ms;
    uint32_t pid;
    struct waiting *next;
};

struct refusal {
    const struct worker_config *config;
    int holder;
    uint64_t until_ms;
    struct session *session;
    struct ring *ring;
    pthread_mutex_t lock; /* of what follows */
    struct waiting *waiting;
    struct open_table *opens; /* or NULL */
};

static void wait_for_worker(void *context, struct session_request *request)
{
    struct refusal *refusal = context;
    struct waiting *waiting = memory_new(sizeof(*waiting));

    if (waiting == NULL) {
        session_reply_error(request, EIO);
        return;
    }
    waiting->request = request;
    waiting->asked_ms = session_request_asked_ms(request);
    waiting->pid = session_request_pid(request);
    pthread_mutex_lock(&refusal->lock);
    waiting->next = refusal->waiting;
    refusal->waiting = waiting;
    pthread_mutex_unlock(&refusal->lock);
}

static void on_name(void *context, struct session_request *request, uint64_t node, const char *name)
{
    wait_for_worker(context, request);
}

static void on_node(void *context, struct session_request *request, uint64_t node)
{
    wait_for_worker(context, request);
}

static void on_range(void *context, struct session_request *request, uint64_t node, uint64_t offset,
                     uint32_t size)
{
    wait_for_worker(context, request);
}

static void on_xattr(void *context, struct session_request *request, uint64_t node,
                     const char *name, uint32_t size)
{
    wait_for_worker(context, request);
}

static void on_xattr_list(void *context, struct session_request *request, uint64_t node,
                          uint32_t size)
{
    wait_for_worker(context, request);
}

/* It does not wait: its end is what the next worker has to know of. */
static void on_release(void *context, uint64_t node, uint64_t handle)
{
    struct refusal *refusal = context;
    uint32_t unused; /* the holder finds it, between two workers */

    pthread_mutex_lock(&refusal->lock);
    open_table_release(refusal->opens, node, handle, &unused);
    pthread_mutex_unlock(&refusal->lock);
}

static const struct session_ops ops = {
    .lookup = on_name,
    .attributes = on_node,
    .link = on_node,
    .read = on_range,
    .open = on_node,
    .release = on_release,
    .directory = on_range,
    .statfs = wait_for_worker,
    .xattr_get = on_xattr,
    .xattr_list = on_xattr_list,
};

/* The answer that a request gets now; 0: it waits on. */
static int answer_of(const struct refusal *refusal, const struct waiting *waiting, uint64_t now_ms,
                     bool ends)
{
    if (ends || now_ms >= waiting->asked_ms + refusal->config->options.deadline_ms)
        return EIO;
    return task_is_killed(waiting->pid) ? EINTR : 0;
}

static void look_at_all(struct refusal *refusal, bool ends)
{
    uint64_t now_ms = clock_monotonic_ms();
    struct waiting **at = &refusal->waiting;

    pthread_mutex_lock(&refusal->lock);
    while (*at != NULL) {
        struct waiting *waiting = *at;
        int answer = answer_of(refusal, waiting, now_ms, ends);
        if (answer == 0) {
            at = &waiting->next;
            continue;
        }
        session_reply_error(waiting->request, answer);
        *at = waiting->next;
        memory_free(waiting);
    }
    pthread_mutex_unlock(&refusal->lock);
    ring_beat(refusal->ring, now_ms);
}

static void *watch(void *context)
{
    struct refusal *refusal = context;
    struct pollfd polled = { .fd = refusal->holder, .events = POLLIN };

    while (clock_monotonic_ms() < refusal->until_ms) {
        struct worker_heard heard = { .what = WORKER_HEARD_NOTHING };
        if (poll(&polled, 1, TURN_MS) > 0)
            worker_hear(refusal->holder, NULL, &heard);
        if (heard.what == WORKER_HEARD_GONE)
            polled.fd = -1;
        look_at_all(refusal, heard.what == WORKER_HEARD_END);
        if (heard.what == WORKER_HEARD_END)
            break;
    }
    _exit(EXIT_DONE); /* what waits is the next worker's */
}

static int answer_control(void *context, const struct json_value *question,
                          struct json_writer *writer, struct error *err)
{
    struct refusal *refusal = context;
    const struct worker_config *config = refusal->config;
    uint64_t now_ms = clock_monotonic_ms();
    const char *ask = "";

    json_member_text(question, "ask", &ask, NULL);
    if (strcmp(ask, "pid") == 0) {
        json_integer(writer, "pid", config->holder);
        return 0;
    }
    if (strcmp(ask, "status") != 0)
        return error_set(err, -EAGAIN, "the mount has no worker: %s", config->reason);
    json_text(writer, "mountpoint", config->options.mountpoint);
    json_text(writer, "server", config->options.servers[0]);
    json_text(writer, "store", config->store);
    json_text(writer, "version", KKARTIFACT_VERSION);
    json_bool(writer, "online", false);
    json_begin_array(writer, "versions");
    json_end(writer);
    json_text(writer, "last_error", config->reason);
    worker_status(config, true, false, writer);
    json_integer(writer, "next_worker_ms",
                 refusal->until_ms > now_ms ? (int64_t)(refusal->until_ms - now_ms) : 0);
    return 0;
}

static int open_session(struct refusal *refusal, struct error *err)
{
    const struct worker_config *config = refusal->config;
    struct session_options options = mounted_session_options(&config->options);
    struct session_connection connection = {
        .fd = config->fuse,
        .init = buf_span(&config->init),
        .device = config->device,
        .without_resend = getenv(WORKER_WITHOUT_RESEND) != NULL,
    };
    int r = ring_open(config->ring, &refusal->ring, err);

    options.opens = config->opens >= 0;
    if (r == 0 && options.opens)
        r = open_table_attach(config->opens, &refusal->opens, err);
    if (r < 0)
        return r;
    connection.ring = refusal->ring;
    return session_adopt(&refusal->session, config->options.mountpoint, &connection, &options, &ops,
                         refusal, err);
}

int refusal_serve(const struct worker_config *config, int socket)
{
    static const char serving[] = "{\"serving\":true}";
    struct refusal refusal = { .config = config,
                               .holder = socket,
                               .until_ms = clock_monotonic_ms() + config->refuse_ms };
    struct control *control = NULL;
    struct error err = { 0 };
    pthread_t thread;
    int r;

    pthread_mutex_init(&refusal.lock, NULL);
    r = open_session(&refusal, &err);
    if (r == 0)
        r = control_start(&control, config->control, answer_control, &refusal, &err);
    if (r == 0) {
        r = platform_thread_start(&thread, watch, &refusal);
        if (r != 0)
            r = error_system(&err, r, "thread");
    }
    if (r == 0)
        r = message_send(socket, span_of(serving, sizeof(serving) - 1), NULL, 0, &err);
    if (r == 0)
        r = session_run(refusal.session, &err);
    if (r < 0)
        log_error("%s", err.text);
    /* Threads look at what waits until the end. */
    _exit(exit_code_of(EXIT_OF_LOCAL, r));
}
