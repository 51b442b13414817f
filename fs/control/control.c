/* SPDX-License-Identifier: MIT */
#include "fs/control/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/platform.h"
#include "common/codec/json.h"

#define QUESTION_MAX 4096
#define ANSWER_MAX ((size_t)256 * 1024 * 1024)
#define CLIENT_S 5 /* a client that stalls is dropped */

struct control {
    int listening, stopping;
    control_function *function;
    void *context;
    pthread_t thread;
};

CLEANUP_DEFINE(json, json_free);

/* A text that failed has no members: begun again as an error. */
static void write_answer(control_function *function, void *context, struct span text,
                         struct buf *out)
{
    cleanup(cleanup_json) struct json *json = NULL;
    struct json_writer writer = json_writer_init(out);
    struct error err = { 0 };
    int r = json_parse(text, &json, &err);

    json_begin_object(&writer, NULL);
    if (r == 0)
        r = function(context, json_root(json), &writer, &err);
    if (r < 0) {
        buf_clear(out);
        writer = json_writer_init(out);
        json_begin_object(&writer, NULL);
        json_text(&writer, "error", err.text);
        json_integer(&writer, "code", -r);
    }
    json_end(&writer);
    buf_add_byte(out, '\n');
}

static bool is_allowed(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

static bool receive_line(int fd, char *line, size_t *out_size)
{
    size_t size = 0;

    while (size < QUESTION_MAX) {
        ssize_t got = recv(fd, line + size, QUESTION_MAX - size, 0);
        if (got <= 0)
            return false;
        size += (size_t)got;
        if (line[size - 1] == '\n') {
            *out_size = size - 1;
            return true;
        }
    }
    return false;
}

static void send_all(int fd, struct span bytes)
{
    while (bytes.size > 0) {
        ssize_t sent = send(fd, bytes.bytes, bytes.size, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        bytes = span_slice(bytes, (size_t)sent, bytes.size);
    }
}

static void serve(int fd, control_function *function, void *context)
{
    cleanup(buf_release) struct buf answer = buf_init(ANSWER_MAX);
    struct timeval limit = { .tv_sec = CLIENT_S };
    char line[QUESTION_MAX];
    size_t size;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (!is_allowed(fd) || !receive_line(fd, line, &size))
        return;
    write_answer(function, context, span_of(line, size), &answer);
    if (buf_check(&answer, NULL) == 0)
        send_all(fd, buf_span(&answer));
}

void control_answer_one(int listening, control_function *function, void *context)
{
    cleanup_fd int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);

    if (fd >= 0)
        serve(fd, function, context);
}

static void *control_main(void *context)
{
    struct control *control = context;
    struct pollfd polled[2] = { { .fd = control->listening, .events = POLLIN },
                                { .fd = control->stopping, .events = POLLIN } };

    for (;;) {
        if (poll(polled, 2, -1) < 0 && errno != EINTR)
            return NULL;
        if (polled[1].revents != 0)
            return NULL;
        if (polled[0].revents != 0)
            control_answer_one(control->listening, control->function, control->context);
    }
}

/* Who takes the path and who leaves it wait for each other: a new mount may have the number of one
 * whose daemon is not gone yet. The lock ends with the descriptor; without it the race is open, and
 * short. */
static int lock_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    cleanup_memory char *directory = memory_copy(path, slash == NULL ? 0 : (size_t)(slash - path));
    int fd = directory == NULL ? -1 : open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0)
        flock(fd, LOCK_EX);
    return fd;
}

void control_socket_close(struct control_socket *socket)
{
    struct stat found;

    if (socket->path == NULL)
        return;
    if (socket->inode != 0) {
        cleanup_fd int lock = lock_directory(socket->path);
        if (lstat(socket->path, &found) == 0 && found.st_ino == socket->inode)
            unlink(socket->path);
    }
    if (socket->fd >= 0)
        close(socket->fd);
    memory_free(socket->path);
    *socket = (struct control_socket){ .fd = -1 };
}

static int listen_at(struct control_socket *control, struct error *err)
{
    cleanup_fd int lock = lock_directory(control->path);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct stat made;

    if (strlen(control->path) >= sizeof(address.sun_path))
        return error_set(err, -EINVAL, "%s is too long for a socket", control->path);
    memcpy(address.sun_path, control->path, strlen(control->path) + 1);
    control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (control->fd < 0)
        return error_system(err, errno, "control socket");
    unlink(control->path);
    if (bind(control->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        chmod(control->path, 0600) < 0 || listen(control->fd, 16) < 0 ||
        lstat(control->path, &made) < 0)
        return error_system(err, errno, "%s", control->path);
    control->inode = made.st_ino;
    return 0;
}

static int name_socket(struct control_socket *out, const char *path, int fd, struct error *err)
{
    *out = (struct control_socket){ .path = memory_text(path), .fd = fd };
    return out->path == NULL ? error_set(err, -ENOMEM, "out of memory") : 0;
}

int control_socket_open(struct control_socket *out, const char *path, struct error *err)
{
    struct control_socket made;
    int r = name_socket(&made, path, -1, err);

    if (r == 0)
        r = listen_at(&made, err);
    if (r < 0) {
        control_socket_close(&made);
        return r;
    }
    *out = made;
    return 0;
}

int control_socket_resume(struct control_socket *out, const char *path, int fd, struct error *err)
{
    struct control_socket made;
    struct stat found;
    int r = name_socket(&made, path, fd, err);

    if (r < 0)
        return r;
    if (lstat(path, &found) == 0 && S_ISSOCK(found.st_mode))
        made.inode = found.st_ino;
    *out = made;
    return 0;
}

static struct control *release(struct control *control)
{
    if (control->stopping >= 0)
        close(control->stopping);
    return memory_free(control);
}

int control_start(struct control **out_control, int listening, control_function *function,
                  void *context, struct error *err)
{
    struct control *control = memory_new(sizeof(*control));
    int r;

    if (control == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    control->listening = listening;
    control->function = function;
    control->context = context;
    control->stopping = eventfd(0, EFD_CLOEXEC);
    if (control->stopping < 0) {
        r = error_system(err, errno, "control socket");
    } else {
        r = platform_thread_start(&control->thread, control_main, control);
        if (r != 0)
            r = error_system(err, r, "control thread");
    }
    if (r < 0) {
        release(control);
        return r;
    }
    *out_control = control;
    return 0;
}

struct control *control_stop(struct control *control)
{
    uint64_t one = 1;

    if (control == NULL)
        return NULL;
    if (write(control->stopping, &one, sizeof(one)) == (ssize_t)sizeof(one))
        pthread_join(control->thread, NULL);
    return release(control);
}
