/* SPDX-License-Identifier: MIT */
#include "fs/holder/worker_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/client/secret.h"
#include "common/codec/json.h"
#include "fs/control/scrape_address.h"
#include "fs/holder/holder_state.h"
#include "fs/holder/json_bytes.h"
#include "fs/holder/message.h"

#define CERTIFICATES_MAX ((size_t)16 * 1024 * 1024)
#define COMMAND_MAX 8192
#define STRAY_MS 5000

static void read_token(struct worker_files *files, const char *path)
{
    struct secret *token = NULL;
    struct error err = { 0 };

    if (path == NULL)
        return;
    if (secret_load(path, &token, &err) < 0) {
        log_warning("token_file: %s", err.text);
        return;
    }
    secret_free(files->token);
    files->token = token;
}

/* Nobody can write to it any more, also not who gets it. */
static int copy_certificates(const char *path, int *out_fd, struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(CERTIFICATES_MAX);
    cleanup_fd int fd = memfd_create("kkartifact-ca", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int r = file_load(path, &text, err);

    if (r < 0)
        return r;
    if (fd < 0)
        return error_system(err, errno, "memory for certificates");
    r = file_write(fd, text.bytes, text.size, err);
    if (r == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
        r = error_system(err, errno, "memory for certificates");
    if (r == 0)
        *out_fd = take_fd(&fd);
    return r;
}

static void read_certificates(struct worker_files *files, const char *path)
{
    struct error err = { 0 };
    int fd = -1;

    if (path == NULL)
        return;
    if (copy_certificates(path, &fd, &err) < 0) {
        log_warning("ca_file: %s", err.text);
        return;
    }
    if (files->ca >= 0)
        close(files->ca);
    files->ca = fd;
}

/* A mount goes on without it; only one that begins fails, so that whoever asked for it learns why.
 * After an upgrade, and with a mount that was kept, the former worker has ended by now. */
static int open_metrics(struct worker_files *files, const struct holder_state *state,
                        struct error *err)
{
    struct error why = { 0 };
    int r;

    if (state->metrics == NULL || files->metrics >= 0)
        return 0;
    r = scrape_address_listen(state->metrics, &files->metrics, &why);
    if (r == 0)
        return 0;
    if (state->store == NULL) /* no worker has served yet */
        return error_set(err, r, "metrics: %.200s", why.text);
    log_warning("metrics: %s", why.text);
    return 0;
}

int worker_files_read(struct worker_files *files, const struct holder_state *state,
                      const struct worker_user *user, struct error *err)
{
    int cache = -1, r;

    read_token(files, state->token_file);
    read_certificates(files, state->ca_file);
    r = worker_user_open_cache(state->cache, user, &cache, err);
    if (r < 0)
        return files->cache >= 0 ? 0 : r;
    if (files->cache >= 0)
        close(files->cache);
    files->cache = cache;
    return open_metrics(files, state, err);
}

void worker_files_release(struct worker_files *files)
{
    files->token = secret_free(files->token);
    if (files->ca >= 0)
        close(files->ca);
    if (files->cache >= 0)
        close(files->cache);
    if (files->metrics >= 0)
        close(files->metrics);
    files->ca = files->cache = files->metrics = -1;
}

/* The members of the configuration; a member whose descriptor comes with it names its place. */
static void write_configuration(struct json_writer *writer, const struct worker_start *start,
                                int descriptors[], size_t *count)
{
    const struct holder_state *state = start->state;
    const struct seat_state *seat = start->seat;
    const struct {
        const char *name;
        int fd;
    } given[] = { { "fuse", seat->descriptors.fuse },   { "ring", seat->descriptors.ring },
                  { "opens", seat->descriptors.opens }, { "control", seat->descriptors.control },
                  { "cache", start->files->cache },     { "ca", start->files->ca },
                  { "metrics", start->files->metrics } };

    json_begin_object(writer, NULL);
    json_bytes(writer, "config", buf_span(&state->config));
    json_bytes_text(writer, "token", secret_text(start->files->token));
    json_bytes_text(writer, "store", state->store);
    json_bytes(writer, "init", buf_span(&seat->init));
    json_integer(writer, "device", (int64_t)seat->device);
    json_integer(writer, "holder", getpid());
    json_integer(writer, "restarts", (int64_t)seat->restarts);
    json_text(writer, "reason", seat->reason);
    json_integer(writer, "uid", start->user->uid);
    json_bool(writer, "uid_has_name", start->user->has_name);
    json_integer(writer, "refuse_ms", (int64_t)start->refuse_ms);
    json_bool(writer, "new", start->is_new);
    json_bool(writer, "follows", start->follows);
    if (seat->version[0] != '\0')
        json_text(writer, "version", seat->version);
    if (seat->tree[0] != '\0')
        json_text(writer, "tree", seat->tree);
    json_begin_array(writer, "descriptors");
    for (size_t i = 0; i < sizeof(given) / sizeof(*given); i++) {
        if (given[i].fd < 0)
            continue;
        json_text(writer, NULL, given[i].name);
        descriptors[(*count)++] = given[i].fd;
    }
    json_end(writer);
    json_end(writer);
}

static int send_configuration(const struct worker_start *start, int socket, struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(MESSAGE_MAX);
    struct json_writer writer = json_writer_init(&text);
    int descriptors[MESSAGE_DESCRIPTORS_MAX];
    size_t count = 0;
    int r;

    write_configuration(&writer, start, descriptors, &count);
    r = buf_check(&text, err);
    if (r == 0)
        r = message_send(socket, buf_span(&text), descriptors, count, err);
    if (text.bytes != NULL)
        memory_wipe(text.bytes, text.size); /* the token */
    return r;
}

/* In the child; nothing of the heap is used. */
static _Noreturn void become_worker(const struct worker_start *start, int socket)
{
    char number[16];
    char *const words[] = { (char *)(uintptr_t) "kkartifact-fs", (char *)(uintptr_t)WORKER_WORD,
                            number, start->state->mountpoint, NULL };
    sigset_t none;
    int r;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setsid(); /* what a terminal sends is the holder's to judge */
    snprintf(number, sizeof(number), "%d", socket);
    r = fcntl(socket, F_SETFD, 0) < 0 ? -errno : worker_user_become(start->user);
    if (r == 0) {
        fexecve(start->program, words, environ);
        r = -errno;
    }
    dprintf(STDERR_FILENO, "kkartifact-fs: the worker cannot be started as user %u: %s\n",
            (unsigned)start->user->uid, strerror(-r));
    _exit(127);
}

int worker_process_start(const struct worker_start *start, pid_t *out_pid, int *out_socket,
                         struct error *err)
{
    int ends[2], r = message_pair(ends, err);
    pid_t pid = -1;

    if (r < 0)
        return r;
    r = send_configuration(start, ends[0], err); /* it waits there until it is read */
    if (r == 0) {
        pid = fork();
        if (pid == 0)
            become_worker(start, ends[1]);
        if (pid < 0)
            r = error_system(err, errno, "fork");
    }
    close(ends[1]);
    if (r < 0) {
        close(ends[0]);
        return r;
    }
    *out_pid = pid;
    *out_socket = ends[0];
    return 0;
}

/* Its arguments say so: the word, and the mount point. */
static bool is_worker_of(pid_t pid, const char *mountpoint)
{
    cleanup(buf_release) struct buf text = buf_init(COMMAND_MAX);
    struct span rest, word;
    char path[32];
    size_t at = 0;
    bool is_worker = false;

    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
    if (file_load(path, &text, NULL) < 0)
        return false;
    rest = buf_span(&text);
    for (; span_cut(&rest, '\0', &word); at++) {
        if (at == 1 && !span_equal_text(word, WORKER_WORD))
            return false;
        if (at == 3)
            is_worker = span_equal_text(word, mountpoint);
    }
    return is_worker && at == 4;
}

void worker_process_end_stray(pid_t pid, const char *mountpoint)
{
    cleanup_fd int process = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    struct pollfd polled = { .fd = process, .events = POLLIN };

    /* The descriptor first: what is looked at then is what is ended. */
    if (process < 0 || !is_worker_of(pid, mountpoint))
        return;
    if (syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0) == 0)
        poll(&polled, 1, STRAY_MS);
}
