/* SPDX-License-Identifier: MIT */
/* One worker after the other: what they say, and what follows their end. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/notify.h"
#include "common/codec/json.h"
#include "fs/holder/holder_private.h"
#include "fs/holder/json_bytes.h"
#include "fs/holder/message.h"
#include "fs/ring/ring.h"
#include "fs/session/kernel_mount.h"

#define GOOD_LIFE_MS 10000
#define PAUSE_FIRST_MS 1000
#define PAUSE_MAX_MS 30000

CLEANUP_DEFINE(json, json_free);

int holder_start_worker(struct holder *holder, uint64_t refuse_ms, struct error *err)
{
    const struct worker_start start = {
        .state = &holder->state,
        .user = &holder->user,
        .files = &holder->files,
        .program = holder->program,
        .refuse_ms = refuse_ms,
    };
    int r = worker_files_read(&holder->files, &holder->state, &holder->user, err);

    if (r < 0)
        return r;
    holder->started_ms = clock_monotonic_ms();
    ring_watch_reset(holder->watch, holder->started_ms);
    holder->beats_missed = 0;
    holder->serves = false;
    holder->why[0] = '\0';
    holder->is_refusing = refuse_ms != 0;
    r = worker_process_start(&start, &holder->worker, &holder->worker_socket, err);
    if (r == 0)
        holder_save(holder);
    return r;
}

/* What cannot be started now (no memory, no process) is tried again, as if it had died. */
void holder_follow(struct holder *holder, uint64_t refuse_ms)
{
    struct error err = { 0 };

    if (holder_start_worker(holder, refuse_ms, &err) == 0)
        return;
    log_error("no worker could be started: %s", err.text);
    holder->retry_ms = clock_monotonic_ms() + PAUSE_FIRST_MS;
}

void holder_kill_worker(struct holder *holder, const char *why)
{
    log_error("the worker %d is killed: %s", (int)holder->worker, why);
    (void)snprintf(holder->why, sizeof(holder->why), "%s", why);
    kill(holder->worker, SIGKILL);
}

/* In the worker's own words when it gave some, or the holder's when it killed it. */
static void note_end(struct holder *holder, int status)
{
    char *reason = holder->state.reason;
    size_t size = sizeof(holder->state.reason);

    if (holder->why[0] != '\0')
        (void)snprintf(reason, size, "%s", holder->why);
    else if (WIFSIGNALED(status))
        (void)snprintf(reason, size, "signal %d (%s)", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
    else
        (void)snprintf(reason, size, "it ended with exit code %d", WEXITSTATUS(status));
}

static uint64_t pause_of(unsigned deaths)
{
    unsigned doublings = deaths - HOLDER_DEATHS;

    return doublings >= 5 ? PAUSE_MAX_MS : PAUSE_FIRST_MS << doublings;
}

/* A worker has died; the mount is there. */
static void follow_worker(struct holder *holder, bool was_good)
{
    uint64_t now_ms = clock_monotonic_ms();

    holder->state.restarts++;
    holder->deaths = was_good ? 0 : holder->deaths + 1;
    holder->retry_ms = 0;
    if (holder->deaths < HOLDER_DEATHS) {
        log_warning("the worker has ended (%s); another one starts", holder->state.reason);
        holder_follow(holder, 0);
        return;
    }
    holder->retry_ms = now_ms + pause_of(holder->deaths);
    log_error("%u workers in a row ended before they answered anything (%s); the next one starts "
              "in %llu s",
              holder->deaths, holder->state.reason,
              (unsigned long long)((holder->retry_ms - now_ms) / 1000));
    holder_follow(holder, holder->retry_ms - now_ms);
}

/* The one that stood in has gone: it was its time, or it died before. */
static void follow_refusing(struct holder *holder)
{
    if (clock_monotonic_ms() >= holder->retry_ms)
        holder_follow(holder, 0);
}

void holder_worker_ended(struct holder *holder, int status)
{
    bool was_good = ring_watch_answered(holder->watch) ||
                    clock_monotonic_ms() - holder->started_ms >= GOOD_LIFE_MS;
    bool was_refusing = holder->is_refusing;

    holder->worker = 0;
    holder->serves = false;
    if (holder->worker_socket >= 0)
        close(holder->worker_socket);
    holder->worker_socket = -1;
    if (!was_refusing)
        note_end(holder, status);
    if (holder->over ||
        (holder->state.device != 0 && kernel_mount_is_over(holder->state.descriptors.fuse)))
        holder->over = true;
    else if (!holder->was_ready)
        error_set(&holder->failure, -EIO, "the worker ended before it was ready: %s",
                  holder->state.reason);
    else if (was_refusing)
        follow_refusing(holder);
    else
        follow_worker(holder, was_good);
}

static int serve(struct holder *holder, const struct json_value *said, struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(MESSAGE_MAX);
    struct json_writer writer = json_writer_init(&text);
    int r = json_member_bytes_text(said, "opened", &holder->state.store, err);

    if (r == 0)
        r = holder_mount(holder, err);
    if (r < 0)
        return r;
    json_begin_object(&writer, NULL);
    json_bool(&writer, "serve", true);
    json_integer(&writer, "device", (int64_t)holder->state.device);
    json_bytes(&writer, "init", buf_span(&holder->state.init));
    json_end(&writer);
    r = buf_check(&text, err);
    return r == 0 ? message_send(holder->worker_socket, buf_span(&text),
                                 &holder->state.descriptors.control, 1, err)
                  : r;
}

static void take_failure(struct holder *holder, const struct json_value *said)
{
    const char *text = "";
    int64_t code = 0, exit_code = 0;

    json_member_text(said, "failed", &text, NULL);
    json_member_integer(said, "code", &code, NULL);
    json_member_integer(said, "exit", &exit_code, NULL);
    (void)snprintf(holder->why, sizeof(holder->why), "%s", text);
    if (holder->was_ready)
        return;
    holder->failed_code = (int)exit_code;
    error_set(&holder->failure, code < 0 ? (int)code : -EIO, "%s", text);
}

static void on_serving(struct holder *holder)
{
    holder->serves = true;
    if (!holder->was_ready) {
        kernel_mount_raise_read_ahead(holder->state.device);
        notify_manager("READY=1");
    }
    holder->was_ready = true;
}

void holder_hear_worker(struct holder *holder)
{
    cleanup(buf_release) struct buf text = buf_init(MESSAGE_MAX * 2);
    cleanup(cleanup_json) struct json *json = NULL;
    int descriptors[MESSAGE_DESCRIPTORS_MAX];
    bool serving = false;
    int r = message_receive(holder->worker_socket, &text, descriptors, NULL);

    for (size_t i = 0; i < MESSAGE_DESCRIPTORS_MAX; i++)
        if (descriptors[i] >= 0)
            close(descriptors[i]);
    if (r < 0) { /* its end is told by SIGCHLD */
        close(holder->worker_socket);
        holder->worker_socket = -1;
        return;
    }
    if (json_parse(buf_span(&text), &json, NULL) < 0)
        return;
    json_member_bool(json_root(json), "serving", &serving, NULL);
    if (serving)
        on_serving(holder);
    else if (!json_is_null(json_member(json_root(json), "failed")))
        take_failure(holder, json_root(json));
    else if (!holder->was_ready && holder->state.device == 0)
        (void)serve(holder, json_root(json), &holder->failure);
}
