/* SPDX-License-Identifier: MIT */
#include "fs/holder/holder.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/notify.h"
#include "fs/holder/holder_private.h"
#include "fs/holder/message.h"
#include "fs/ring/ring.h"
#include "fs/session/kernel_mount.h"

#define TICK_MS 1000
#define BEATS_MISSED_MAX 10 /* ticks, not seconds: a machine that slept has no ticks */
#define START_MS 60000      /* to begin to serve, where no server has to be asked */
#define END_MS 9000         /* a worker that is told to end */
#define LEAVE_MS 5000       /* one that makes room for a newer program */

static void on_signal(struct holder *holder)
{
    struct signalfd_siginfo info;
    int status;

    while (read(holder->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
        if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            holder->over = true;
    if (holder->worker > 0 && waitpid(holder->worker, &status, WNOHANG) == holder->worker)
        holder_worker_ended(holder, status);
}

static void check_beat(struct holder *holder)
{
    uint64_t beat_ms = ring_watch_beat_ms(holder->watch);

    holder->beats_missed = beat_ms == holder->beat_ms ? holder->beats_missed + 1 : 0;
    holder->beat_ms = beat_ms;
    if (holder->beats_missed == BEATS_MISSED_MAX)
        holder_kill_worker(holder, "its event loop stood still for ten seconds");
}

static void tick(struct holder *holder)
{
    uint64_t now_ms = clock_monotonic_ms();

    if (holder->worker > 0 && holder->serves)
        check_beat(holder);
    else if (holder->worker > 0 && holder->was_ready && now_ms - holder->started_ms >= START_MS)
        holder_kill_worker(holder, "it did not begin to serve");
    else if (holder->worker == 0 && kernel_mount_is_over(holder->state.descriptors.fuse))
        holder->over = true;
    else if (holder->worker == 0 && holder->was_ready && now_ms >= holder->retry_ms)
        holder_follow(holder, 0);
}

static void turn(struct holder *holder, uint64_t *tick_ms)
{
    struct pollfd polled[] = { { .fd = holder->signals, .events = POLLIN },
                               { .fd = holder->worker_socket, .events = POLLIN },
                               { .fd = holder->own.fd, .events = POLLIN } };
    uint64_t now_ms = clock_monotonic_ms();

    if (poll(polled, 3, *tick_ms > now_ms ? (int)(*tick_ms - now_ms) : 0) < 0 && errno != EINTR)
        holder->over = true;
    /* What it said before it died comes before its death. */
    if (polled[1].revents != 0 && holder->worker_socket >= 0)
        holder_hear_worker(holder);
    if (polled[0].revents != 0)
        on_signal(holder);
    if (polled[2].revents != 0)
        holder_answer(holder);
    if (clock_monotonic_ms() >= *tick_ms) {
        tick(holder);
        *tick_ms = clock_monotonic_ms() + TICK_MS;
    }
}

static int take_signals(struct holder *holder, struct error *err)
{
    static const int numbers[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD };
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        sigaddset(&set, numbers[i]);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    holder->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return holder->signals < 0 ? error_system(err, errno, "signalfd") : 0;
}

static int new_holder(struct holder **out_holder, struct holder_state *state, int state_fd,
                      struct error *err)
{
    struct holder *holder = memory_new(sizeof(*holder));

    if (holder == NULL) {
        holder_state_release(state);
        return error_set(err, -ENOMEM, "out of memory");
    }
    holder->state = *state;
    holder_state_init(state);
    holder->state_fd = state_fd;
    holder->program = holder->signals = holder->worker_socket = -1;
    holder->control.fd = holder->own.fd = -1;
    holder->files.ca = holder->files.cache = -1;
    *out_holder = holder;
    return chdir("/") < 0 ? error_system(err, errno, "/") : take_signals(holder, err);
}

/* Until a worker serves, for the first time in this process. */
static int await_first(struct holder *holder, struct error *err)
{
    uint64_t tick_ms = clock_monotonic_ms() + TICK_MS;

    while (!holder->was_ready && !holder->over && holder->failure.code == 0)
        turn(holder, &tick_ms);
    if (holder->failure.code < 0)
        return error_set(err, holder->failure.code, "%s", holder->failure.text);
    return holder->over ? error_set(err, -ECANCELED, "interrupted") : 0;
}

int holder_open(struct holder **out_holder, struct holder_state *state, int state_fd,
                int *out_exit_code, struct error *err)
{
    struct holder *holder = NULL;
    bool goes_on = state->device != 0;
    int r = new_holder(&holder, state, state_fd, err);

    if (holder == NULL)
        return r;
    if (r == 0)
        r = holder_prepare(holder, err);
    if (r == 0 && goes_on) {
        holder->was_ready = true; /* a worker that fails is followed, as ever */
        worker_process_end_stray(holder->state.worker, holder->state.mountpoint);
        r = holder_open_sockets(holder, false, err);
    }
    if (r == 0)
        r = holder_start_worker(holder, 0, err);
    if (r == 0 && goes_on)
        notify_manager("READY=1");
    else if (r == 0)
        r = await_first(holder, err);
    if (r < 0) {
        *out_exit_code = holder->failed_code;
        holder_close(holder);
        return r;
    }
    *out_holder = holder;
    return 0;
}

int holder_check(int state_fd, struct error *err)
{
    struct holder_state state;
    int r;

    holder_state_init(&state);
    r = holder_state_load(state_fd, &state, err);
    holder_state_release(&state);
    return r;
}

int holder_resume(struct holder **out_holder, int state_fd, struct error *err)
{
    struct holder_state state;
    struct holder *holder = NULL;
    int r;

    holder_state_init(&state);
    r = holder_state_load(state_fd, &state, err);
    if (r == 0)
        r = new_holder(&holder, &state, state_fd, err);
    if (r < 0)
        return r;
    holder->worker = holder->state.worker;
    holder->worker_socket = holder->state.descriptors.worker;
    holder->state.descriptors.worker = -1;
    holder->was_ready = true;
    r = holder_open_sockets(holder, true, err);
    if (r == 0)
        r = holder_prepare(holder, err);
    if (r < 0)
        return r; /* nothing is taken away: the old worker goes on alone */
    (void)snprintf(holder->why, sizeof(holder->why), "upgrade to %s", KKARTIFACT_VERSION);
    holder->started_ms = clock_monotonic_ms() - START_MS + LEAVE_MS;
    if (holder->worker > 0)
        kill(holder->worker, SIGTERM); /* it leaves what it cannot answer to the next one */
    else
        holder_follow(holder, 0);
    *out_holder = holder;
    return 0;
}

uint64_t holder_device(const struct holder *holder)
{
    return holder->state.device;
}

void holder_share_log(struct holder *holder)
{
    static const char text[] = "{\"log\":true}";
    const int log = STDERR_FILENO;

    if (holder->worker_socket >= 0)
        message_send(holder->worker_socket, span_of(text, sizeof(text) - 1), &log, 1, NULL);
}

int holder_run(struct holder *holder, struct error *err)
{
    uint64_t tick_ms = clock_monotonic_ms() + TICK_MS;

    while (!holder->over) {
        turn(holder, &tick_ms);
        if (holder->upgrade && !holder->over)
            holder_become(holder);
    }
    return 0;
}

/* It fails what waits, writes what is not on disk yet, and goes; or else it is killed. */
static void end_worker(struct holder *holder)
{
    static const char text[] = "{\"end\":true}";
    uint64_t until_ms = clock_monotonic_ms() + END_MS;
    struct pollfd polled = { .fd = holder->signals, .events = POLLIN };

    holder->over = true;
    if (holder->worker > 0 && holder->worker_socket >= 0)
        message_send(holder->worker_socket, span_of(text, sizeof(text) - 1), NULL, 0, NULL);
    while (holder->worker > 0) {
        uint64_t now_ms = clock_monotonic_ms();
        if (now_ms >= until_ms) {
            holder_kill_worker(holder, "it did not end");
            until_ms = UINT64_MAX;
        }
        poll(&polled, 1, TICK_MS / 10);
        on_signal(holder);
    }
}

struct holder *holder_close(struct holder *holder)
{
    if (holder == NULL)
        return NULL;
    if (holder->was_ready)
        notify_manager("STOPPING=1");
    /* Before the worker ends: nobody new comes in whom nobody would answer. */
    if (holder->state.device != 0)
        holder_unmount(holder);
    if (holder->signals >= 0)
        end_worker(holder);
    control_socket_close(&holder->control);
    control_socket_close(&holder->own);
    ring_watch_close(holder->watch);
    worker_files_release(&holder->files);
    const int open[] = { holder->state.descriptors.fuse, holder->state.descriptors.ring,
                         holder->state_fd, holder->program, holder->signals };
    for (size_t i = 0; i < sizeof(open) / sizeof(*open); i++)
        if (open[i] >= 0)
            close(open[i]);
    holder_state_release(&holder->state);
    return memory_free(holder);
}
