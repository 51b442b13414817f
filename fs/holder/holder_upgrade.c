/* SPDX-License-Identifier: MIT */
/* Becoming the program that is on disk now, with the mount in hand. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/codec/json.h"
#include "fs/holder/holder_private.h"
#include "fs/look/looker.h"

#define CHECK_MS 10000
#define CHECK_TURN_NS (10 * 1000 * 1000)

static void write_number(char out[16], int number)
{
    (void)snprintf(out, 16, "%d", number);
}

static pid_t start_check(const struct holder *holder)
{
    char number[16];
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    write_number(number, holder->state_fd);
    if (fcntl(holder->state_fd, F_SETFD, 0) == 0)
        execl(holder->state.program, "kkartifact-fs", HOLDER_CHECK_WORD, number, (char *)NULL);
    _exit(127);
}

/* The new program says itself whether it understands the state; the old one stays when it does
 * not. */
static int check_program(const struct holder *holder, struct error *err)
{
    static const struct timespec turn = { .tv_nsec = CHECK_TURN_NS };
    uint64_t until_ms = clock_monotonic_ms() + CHECK_MS;
    pid_t pid = start_check(holder);
    int status = 0;

    if (pid < 0)
        return error_system(err, errno, "fork");
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (clock_monotonic_ms() >= until_ms) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            return error_set(err, -ETIMEDOUT, "%s does not answer", holder->state.program);
        }
        nanosleep(&turn, NULL);
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return error_set(err, -ENOTSUP, "%s cannot go on with this mount; it stays as it is",
                         holder->state.program);
    return 0;
}

static int answer(void *context, const struct json_value *question, struct json_writer *writer,
                  struct error *err)
{
    struct seat *seat = context;
    struct holder *holder = seat->holder;
    const char *ask = "";

    json_member_text(question, "ask", &ask, NULL);
    if (strcmp(ask, "upgrade") == 0) {
        int r = check_program(holder, err);
        if (r < 0)
            return r;
        holder->upgrade = true;
    } else if (strcmp(ask, "detach") == 0 && holder->state.attach.is_attached) {
        attach_detach(holder);
        holder_unmount(holder);
    } else if (strcmp(ask, "state") != 0) {
        return error_set(err, -EINVAL, "this is not asked of a holder");
    }
    json_integer(writer, "pid", getpid());
    json_text(writer, "version", KKARTIFACT_VERSION);
    json_integer(writer, "upgrades", (int64_t)holder->state.upgrades);
    json_bool(writer, "serves", seat->serves && !holder->upgrade);
    json_bool(writer, "current", seat == holder->current);
    attach_json(holder, writer);
    return 0;
}

void holder_answer(struct seat *seat)
{
    control_answer_one(seat->own.fd, answer, seat);
}

static int keep_one(int fd, bool keep)
{
    return fd >= 0 && fcntl(fd, F_SETFD, keep ? 0 : FD_CLOEXEC) < 0 ? -errno : 0;
}

static int keep_seat(const struct seat *seat, bool keep)
{
    const int kept[] = { seat->state->descriptors.fuse,
                         seat->state->descriptors.ring,
                         seat->state->descriptors.opens,
                         seat->control.fd,
                         seat->own.fd,
                         seat->worker_socket };
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof(kept) / sizeof(*kept); i++)
        r = keep_one(kept[i], keep);
    return r;
}

/* The state and these of each seat go with it, all others are closed by the exec. */
int holder_keep_open(const struct holder *holder, bool keep)
{
    int r = keep_one(holder->state_fd, keep);

    for (size_t i = 0; r == 0 && i < holder->seat_count; i++)
        r = keep_seat(holder->seats[i], keep);
    return r;
}

void holder_become(struct holder *holder)
{
    char number[16];

    holder->upgrade = false;
    for (size_t i = 0; i < holder->seat_count; i++)
        holder->seats[i]->state->descriptors.worker = holder->seats[i]->worker_socket;
    holder->state.upgrades++;
    holder->looker = looker_free(holder->looker);
    holder_save(holder);
    write_number(number, holder->state_fd);
    if (holder_keep_open(holder, true) == 0)
        execl(holder->state.program, "kkartifact-fs", HOLDER_WORD, number, (char *)NULL);
    log_error("upgrade: %s: %s", holder->state.program, strerror(errno));
    holder_keep_open(holder, false);
    holder->state.upgrades--;
    holder_save(holder);
}
