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

int seat_start_worker(struct seat *seat, uint64_t refuse_ms, struct error *err)
{
    struct holder *holder = seat->holder;
    const struct worker_start start = {
        .state = &holder->state,
        .seat = seat->state,
        .user = &holder->user,
        .files = &holder->files,
        .program = holder->program,
        .refuse_ms = refuse_ms,
        .is_new = holder->state.attach.is_attached && !seat->was_ready,
        .follows = attach_follows(seat),
    };
    int r = worker_files_read(&holder->files, &holder->state, &holder->user, err);

    if (r < 0)
        return r;
    holder_backing_settle(&seat->backing, seat->state->descriptors.fuse,
                          seat->state->descriptors.opens);
    seat->started_ms = clock_monotonic_ms();
    ring_watch_reset(seat->watch, seat->started_ms);
    seat->beats_missed = 0;
    seat->serves = false;
    seat->why[0] = '\0';
    seat->is_refusing = refuse_ms != 0;
    r = worker_process_start(&start, &seat->worker, &seat->worker_socket, err);
    if (r == 0)
        holder_save(holder);
    return r;
}

/* What cannot be started now (no memory, no process) is tried again, as if it had died. */
void seat_follow(struct seat *seat, uint64_t refuse_ms)
{
    struct error err = { 0 };

    if (seat_start_worker(seat, refuse_ms, &err) == 0)
        return;
    log_error("no worker could be started: %s", err.text);
    seat->retry_ms = clock_monotonic_ms() + PAUSE_FIRST_MS;
}

void seat_kill_worker(struct seat *seat, const char *why)
{
    log_error("the worker %d is killed: %s", (int)seat->worker, why);
    (void)snprintf(seat->why, sizeof(seat->why), "%s", why);
    kill(seat->worker, SIGKILL);
}

/* In the worker's own words when it gave some, or the holder's when it killed it. */
static void note_end(struct seat *seat, int status)
{
    char *reason = seat->state->reason;
    size_t size = sizeof(seat->state->reason);

    if (seat->why[0] != '\0')
        (void)snprintf(reason, size, "%s", seat->why);
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
static void follow_worker(struct seat *seat, bool was_good)
{
    uint64_t now_ms = clock_monotonic_ms();

    seat->state->restarts++;
    seat->deaths = was_good ? 0 : seat->deaths + 1;
    seat->retry_ms = 0;
    if (seat->deaths < HOLDER_DEATHS) {
        log_warning("the worker has ended (%s); another one starts", seat->state->reason);
        seat_follow(seat, 0);
        return;
    }
    seat->retry_ms = now_ms + pause_of(seat->deaths);
    log_error("%u workers in a row ended before they answered anything (%s); the next one starts "
              "in %llu s",
              seat->deaths, seat->state->reason,
              (unsigned long long)((seat->retry_ms - now_ms) / 1000));
    seat_follow(seat, seat->retry_ms - now_ms);
}

/* The one that stood in has gone: it was its time, or it died before. */
static void follow_refusing(struct seat *seat)
{
    if (clock_monotonic_ms() >= seat->retry_ms)
        seat_follow(seat, 0);
}

/* What the worker has said of it says more. */
static void note_failure(struct seat *seat)
{
    if (seat->failure.code == 0)
        error_set(&seat->failure, -EIO, "the worker ended before it was ready: %s",
                  seat->state->reason);
}

void seat_worker_ended(struct seat *seat, int status)
{
    bool was_good =
        ring_watch_answered(seat->watch) || clock_monotonic_ms() - seat->started_ms >= GOOD_LIFE_MS;
    bool was_refusing = seat->is_refusing;

    seat->worker = 0;
    seat->serves = false;
    if (seat->worker_socket >= 0)
        close(seat->worker_socket);
    seat->worker_socket = -1;
    if (!was_refusing)
        note_end(seat, status);
    if (seat->holder->over || seat_is_over(seat))
        seat->over = true;
    else if (!seat->was_ready)
        note_failure(seat);
    else if (was_refusing)
        follow_refusing(seat);
    else
        follow_worker(seat, was_good);
}

static int serve(struct seat *seat, const struct json_value *said, struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(MESSAGE_MAX);
    struct json_writer writer = json_writer_init(&text);
    const struct seat_descriptors *own = &seat->state->descriptors;
    int r = json_member_bytes_text(said, "opened", &seat->holder->state.store, err);

    if (r == 0)
        r = holder_mount(seat->holder, seat, err);
    if (r < 0)
        return r;
    json_begin_object(&writer, NULL);
    json_bool(&writer, "serve", true);
    json_integer(&writer, "device", (int64_t)seat->state->device);
    json_bytes(&writer, "init", buf_span(&seat->state->init));
    json_end(&writer);
    r = buf_check(&text, err);
    if (r == 0) {
        const int given[] = { own->control, own->opens };
        r = message_send(seat->worker_socket, buf_span(&text), given, own->opens >= 0 ? 2 : 1, err);
    }
    return r;
}

static void take_failure(struct seat *seat, const struct json_value *said)
{
    const char *text = "";
    int64_t code = 0, exit_code = 0;

    json_member_text(said, "failed", &text, NULL);
    json_member_integer(said, "code", &code, NULL);
    json_member_integer(said, "exit", &exit_code, NULL);
    (void)snprintf(seat->why, sizeof(seat->why), "%s", text);
    if (seat->was_ready)
        return;
    seat->failed_code = (int)exit_code;
    error_set(&seat->failure, code < 0 ? (int)code : -EIO, "%s", text);
}

static void tell(struct seat *seat, struct buf *text)
{
    if (seat->worker_socket >= 0 && buf_check(text, NULL) == 0)
        message_send(seat->worker_socket, buf_span(text), NULL, 0, NULL);
}

void seat_tell_follow(struct seat *seat, bool on)
{
    cleanup(buf_release) struct buf text = buf_init(MESSAGE_MAX);
    struct json_writer writer = json_writer_init(&text);

    json_begin_object(&writer, NULL);
    json_bool(&writer, "follow", on);
    json_end(&writer);
    tell(seat, &text);
}

void seat_tell_refused(struct seat *seat, const char *why)
{
    cleanup(buf_release) struct buf text = buf_init(MESSAGE_MAX);
    struct json_writer writer = json_writer_init(&text);

    json_begin_object(&writer, NULL);
    json_text(&writer, "refused", why);
    json_end(&writer);
    tell(seat, &text);
}

/* The first time it is put where it is to be seen. */
static void on_serving(struct seat *seat, const struct json_value *said)
{
    struct holder *holder = seat->holder;
    bool is_first = holder->current == NULL;

    seat->serves = true;
    if (seat->was_ready || seat->failure.code < 0)
        return;
    kernel_mount_raise_read_ahead(seat->state->device);
    if (holder->state.attach.is_attached && attach_arrive(seat, said, &seat->failure) < 0)
        return;
    holder->current = seat;
    seat->was_ready = true;
    if (is_first)
        notify_manager("READY=1");
}

/* The descriptors stay the caller's. */
static void hear(struct seat *seat, const struct json_value *said, const int descriptors[])
{
    const struct holder_backing_place place = {
        .fuse = seat->state->descriptors.fuse,
        .cache = seat->holder->files.cache,
        .uid = seat->holder->user.uid,
        .socket = seat->worker_socket,
    };
    bool serving = false;

    json_member_bool(said, "serving", &serving, NULL);
    if (serving)
        on_serving(seat, said);
    else if (!json_is_null(json_member(said, "failed")))
        take_failure(seat, said);
    else if (!json_is_null(json_member(said, "switch")))
        attach_asked(seat, said);
    else if (!seat->was_ready && seat->state->device == 0)
        (void)serve(seat, said, &seat->failure);
    else
        holder_backing_hear(&seat->backing, &place, said, descriptors);
}

void seat_hear_worker(struct seat *seat)
{
    cleanup(buf_release) struct buf text = buf_init(MESSAGE_MAX * 2);
    cleanup(cleanup_json) struct json *json = NULL;
    int descriptors[MESSAGE_DESCRIPTORS_MAX];
    int r = message_receive(seat->worker_socket, &text, descriptors, NULL);

    if (r < 0) { /* its end is told by SIGCHLD */
        close(seat->worker_socket);
        seat->worker_socket = -1;
    } else if (json_parse(buf_span(&text), &json, NULL) == 0) {
        hear(seat, json_root(json), descriptors);
    }
    for (size_t i = 0; i < MESSAGE_DESCRIPTORS_MAX; i++)
        if (descriptors[i] >= 0)
            close(descriptors[i]);
}
