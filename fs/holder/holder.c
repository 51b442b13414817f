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
#include "fs/control/scrape_address.h"
#include "fs/holder/holder_private.h"
#include "fs/holder/message.h"
#include "fs/look/looker.h"
#include "fs/session/mount_table.h"

#define TICK_MS 1000
#define END_MS 9000   /* a worker that is told to end */
#define LEAVE_MS 5000 /* one that makes room for a newer program */
#define POLLED_MAX (1 + 2 * HOLDER_SEATS_MAX)

static void on_signal(struct holder *holder)
{
    const pid_t command = holder->state.attach.exec_pid;
    struct signalfd_siginfo info;
    int status;

    while (read(holder->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
        if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            holder->over = true;
    for (size_t i = 0; i < holder->seat_count; i++) {
        struct seat *seat = holder->seats[i];
        if (seat->worker > 0 && waitpid(seat->worker, &status, WNOHANG) == seat->worker)
            seat_worker_ended(seat, status);
    }
    if (command > 0 && waitpid(command, &status, WNOHANG) == command)
        exec_ended(holder, status);
}

static void remove_seat(struct holder *holder, size_t index)
{
    if (holder->seats[index] == holder->current)
        attach_detach(holder);
    seat_free(holder->seats[index]);
    holder->seat_count--;
    memmove(&holder->seats[index], &holder->seats[index + 1],
            (holder->seat_count - index) * sizeof(struct seat *));
    holder_state_remove_seat(&holder->state, index);
    holder_save(holder);
}

/* With the last of its connections it ends itself. */
static void drop_what_is_over(struct holder *holder)
{
    for (size_t i = holder->seat_count; i-- > 0;) {
        if (!holder->seats[i]->over || holder->seats[i]->worker > 0)
            continue;
        if (holder->seat_count == 1)
            holder->over = true;
        else
            remove_seat(holder, i);
    }
}

static size_t poll_seats(struct holder *holder, struct pollfd polled[POLLED_MAX])
{
    size_t count = 0;

    polled[count++] = (struct pollfd){ .fd = holder->signals, .events = POLLIN };
    for (size_t i = 0; i < holder->seat_count; i++) {
        const int heard[] = { holder->seats[i]->worker_socket, holder->seats[i]->own.fd };
        for (size_t k = 0; k < 2; k++)
            polled[count++] = (struct pollfd){ .fd = heard[k], .events = POLLIN };
    }
    return count;
}

static void turn(struct holder *holder, uint64_t *tick_ms)
{
    struct pollfd polled[POLLED_MAX];
    size_t count = poll_seats(holder, polled), seats = holder->seat_count;
    uint64_t now_ms = clock_monotonic_ms();

    if (poll(polled, count, *tick_ms > now_ms ? (int)(*tick_ms - now_ms) : 0) < 0 && errno != EINTR)
        holder->over = true;
    /* What a worker said before it died comes before its death. */
    for (size_t i = 0; i < seats; i++)
        if (polled[1 + 2 * i].revents != 0 && holder->seats[i]->worker_socket >= 0)
            seat_hear_worker(holder->seats[i]);
    if (polled[0].revents != 0)
        on_signal(holder);
    for (size_t i = 0; i < seats; i++)
        if (polled[2 + 2 * i].revents != 0)
            holder_answer(holder->seats[i]);
    if (clock_monotonic_ms() >= *tick_ms) {
        for (size_t i = 0; i < holder->seat_count; i++)
            seat_tick(holder->seats[i]);
        holder_look(holder);
        *tick_ms = clock_monotonic_ms() + TICK_MS;
    }
    attach_look_after(holder);
    drop_what_is_over(holder);
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

int holder_add_seat(struct holder *holder, struct seat_state *state, struct seat **out_seat,
                    struct error *err)
{
    struct seat *seat = state != NULL ? seat_new(holder, state) : NULL;

    if (seat == NULL)
        return error_set(err, -ENOMEM, "there is no room for a connection");
    holder->seats[holder->seat_count++] = seat;
    *out_seat = seat;
    return 0;
}

/* One for each that the state has. */
static int add_seats(struct holder *holder, struct error *err)
{
    struct seat *seat;
    int r = 0;

    for (size_t i = 0; r == 0 && i < holder->state.seat_count; i++)
        r = holder_add_seat(holder, holder->state.seats[i], &seat, err);
    return r;
}

static int new_holder(struct holder **out_holder, struct holder_state *state, int state_fd,
                      struct error *err)
{
    struct holder *holder = memory_new(sizeof(*holder));
    int r;

    if (holder == NULL) {
        holder_state_release(state);
        return error_set(err, -ENOMEM, "out of memory");
    }
    holder->state = *state;
    holder_state_init(state);
    holder->state_fd = state_fd;
    holder->program = holder->signals = holder->coming_mount = -1;
    holder->files.ca = holder->files.cache = holder->files.metrics = -1;
    *out_holder = holder;
    if (holder->state.seat_count == 0)
        holder_state_add_seat(&holder->state);
    r = holder->state.seat_count > 0 ? add_seats(holder, err)
                                     : error_set(err, -ENOMEM, "out of memory");
    if (r < 0)
        return r;
    return chdir("/") < 0 ? error_system(err, errno, "/") : take_signals(holder, err);
}

/* Until a worker serves, for the first time in this process. */
static int await_first(struct holder *holder, struct error *err)
{
    const struct seat *seat = holder->seats[0];
    uint64_t tick_ms = clock_monotonic_ms() + TICK_MS;

    while (!seat->was_ready && !holder->over && seat->failure.code == 0)
        turn(holder, &tick_ms);
    if (seat->failure.code < 0)
        return error_set(err, seat->failure.code, "%s", seat->failure.text);
    return holder->over ? error_set(err, -ECANCELED, "interrupted") : 0;
}

/* A mount that the service manager kept. */
static int go_on(struct holder *holder, struct error *err)
{
    struct seat *seat = holder->seats[0];
    int r;

    seat->was_ready = true; /* a worker that fails is followed, as ever */
    holder->current = seat;
    worker_process_end_stray(seat->state->worker, holder->state.mountpoint);
    r = seat_open_sockets(seat, false, err);
    if (r == 0)
        r = seat_start_worker(seat, 0, err);
    if (r == 0)
        notify_manager("READY=1");
    return r;
}

static int begin(struct holder *holder, struct error *err)
{
    int r = holder->state.attach.is_attached ? attach_connect(holder->seats[0], err) : 0;

    if (r == 0)
        r = seat_start_worker(holder->seats[0], 0, err);
    return r == 0 ? await_first(holder, err) : r;
}

int holder_open(struct holder **out_holder, struct holder_state *state, int state_fd,
                int *out_exit_code, struct error *err)
{
    struct holder *holder = NULL;
    bool goes_on = state->seat_count > 0;
    int r = new_holder(&holder, state, state_fd, err);

    if (holder == NULL)
        return r;
    if (r == 0)
        r = holder_prepare(holder, err);
    if (r == 0)
        r = goes_on ? go_on(holder, err) : begin(holder, err);
    if (r < 0) {
        *out_exit_code = holder->seat_count > 0 ? holder->seats[0]->failed_code : 0;
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

static int take_over(struct seat *seat, struct error *err)
{
    seat->worker = seat->state->worker;
    seat->worker_socket = seat->state->descriptors.worker;
    seat->state->descriptors.worker = -1;
    seat->was_ready = true;
    return seat_open_sockets(seat, true, err);
}

/* The newest, unless it was taken away. */
static void find_current(struct holder *holder)
{
    struct seat *newest = holder->seats[holder->seat_count - 1];
    uint64_t device = 0;

    if (holder->state.attach.is_attached &&
        (mount_table_device(holder->state.mountpoint, &device, NULL) < 0 ||
         device != newest->state->device))
        holder->is_detached = true;
    else
        holder->current = newest;
}

static void replace_worker(struct seat *seat)
{
    (void)snprintf(seat->why, sizeof(seat->why), "upgrade to %s", KKARTIFACT_VERSION);
    seat->started_ms = clock_monotonic_ms() - SEAT_START_MS + LEAVE_MS;
    if (seat->worker > 0)
        kill(seat->worker, SIGTERM); /* it leaves what it cannot answer to the next one */
    else
        seat_follow(seat, 0);
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
    for (size_t i = 0; r == 0 && i < holder->seat_count; i++)
        r = take_over(holder->seats[i], err);
    if (r == 0)
        r = holder_prepare(holder, err);
    if (r == 0)
        r = holder_keep_open(holder, false);
    if (r == 0)
        find_current(holder);
    if (r < 0)
        return r; /* nothing is taken away: the old workers go on alone */
    for (size_t i = 0; i < holder->seat_count; i++)
        replace_worker(holder->seats[i]);
    *out_holder = holder;
    return 0;
}

uint64_t holder_device(const struct holder *holder)
{
    return holder->seats[0]->state->device;
}

/* To every worker that hears. */
static void tell_workers(struct holder *holder, struct span text, const int *descriptors,
                         size_t count)
{
    for (size_t i = 0; i < holder->seat_count; i++)
        if (holder->seats[i]->worker > 0 && holder->seats[i]->worker_socket >= 0)
            message_send(holder->seats[i]->worker_socket, text, descriptors, count, NULL);
}

void holder_share_log(struct holder *holder)
{
    static const char text[] = "{\"log\":true}";
    const int log = STDERR_FILENO;

    tell_workers(holder, span_of(text, sizeof(text) - 1), &log, 1);
}

int holder_run(struct holder *holder, struct error *err)
{
    uint64_t tick_ms = clock_monotonic_ms() + TICK_MS;

    while (!holder->over) {
        turn(holder, &tick_ms);
        if (holder->upgrade && !holder->over && holder->coming == NULL)
            holder_become(holder);
    }
    return 0;
}

static size_t workers_left(const struct holder *holder)
{
    size_t count = 0;

    for (size_t i = 0; i < holder->seat_count; i++)
        count += holder->seats[i]->worker > 0;
    return count;
}

/* They fail what waits, write what is not on disk yet, and go; or else they are killed. */
static void end_workers(struct holder *holder)
{
    static const char text[] = "{\"end\":true}";
    uint64_t until_ms = clock_monotonic_ms() + END_MS;
    struct pollfd polled = { .fd = holder->signals, .events = POLLIN };

    holder->over = true;
    tell_workers(holder, span_of(text, sizeof(text) - 1), NULL, 0);
    while (workers_left(holder) > 0) {
        bool is_late = clock_monotonic_ms() >= until_ms;
        for (size_t i = 0; is_late && i < holder->seat_count; i++)
            if (holder->seats[i]->worker > 0)
                seat_kill_worker(holder->seats[i], "it did not end");
        until_ms = is_late ? UINT64_MAX : until_ms;
        poll(&polled, 1, TICK_MS / 10);
        on_signal(holder);
    }
}

struct holder *holder_close(struct holder *holder)
{
    if (holder == NULL)
        return NULL;
    if (holder->seat_count > 0 && holder->seats[0]->was_ready)
        notify_manager("STOPPING=1");
    /* Before the workers end: nobody new comes in whom nobody would answer. */
    holder_unmount(holder);
    if (holder->signals >= 0)
        end_workers(holder);
    for (size_t i = 0; i < holder->seat_count; i++)
        seat_free(holder->seats[i]);
    if (holder->files.metrics >= 0)
        scrape_address_remove(holder->state.metrics);
    looker_free(holder->looker);
    worker_files_release(&holder->files);
    const int open[] = { holder->state_fd, holder->program, holder->signals, holder->coming_mount };
    for (size_t i = 0; i < sizeof(open) / sizeof(*open); i++)
        if (open[i] >= 0)
            close(open[i]);
    holder_state_release(&holder->state);
    return memory_free(holder);
}
