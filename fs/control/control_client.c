/* SPDX-License-Identifier: MIT */
#include "fs/control/control_client.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/number.h"
#include "common/codec/json.h"
#include "fs/control/control_path.h"

#define ANSWER_MAX ((size_t)256 * 1024 * 1024)
#define ANSWER_MS 60000
#define CONNECT_MS 1000
#define CHUNK 65536

CLEANUP_DEFINE(json, json_free);

static int connect_to(const char *path, uint64_t limit_ms, struct error *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct timeval limit = { .tv_sec = (time_t)(limit_ms / 1000),
                             .tv_usec = (suseconds_t)(limit_ms % 1000) * 1000 };
    int fd;

    if (strlen(path) >= sizeof(address.sun_path))
        return error_set(err, -EINVAL, "%s is too long for a socket", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_system(err, errno, "socket");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)); /* also of connect */
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        int saved = errno;
        close(fd);
        if (saved == ENOENT)
            return error_set(err, -ENOENT,
                             "it is not a running mount of kkartifact (of this user)");
        return error_set(err, saved == ECONNREFUSED ? -ECONNREFUSED : -EAGAIN,
                         "the mount's daemon does not answer: %s", strerror(saved));
    }
    return fd;
}

/* Whoever had accepted the connection died with it. */
static int broken(struct error *err)
{
    return error_set(err, -ECONNRESET, "the mount's daemon does not listen");
}

static int exchange(int fd, const char *question, struct buf *answer, struct error *err)
{
    size_t size = strlen(question);

    if (send(fd, question, size, MSG_NOSIGNAL) != (ssize_t)size ||
        send(fd, "\n", 1, MSG_NOSIGNAL) != 1)
        return errno == EPIPE || errno == ECONNRESET
                   ? broken(err)
                   : error_set(err, -EAGAIN, "the mount's daemon does not listen");
    for (;;) {
        uint8_t *at = buf_reserve(answer, CHUNK);
        ssize_t got = at == NULL ? -1 : recv(fd, at, CHUNK, 0);
        if (at == NULL)
            return buf_check(answer, err);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == ECONNRESET)
            return broken(err);
        if (got < 0)
            return error_set(err, -EAGAIN, "the mount's daemon does not answer: %s",
                             strerror(errno));
        if (got == 0) /* an answer ends with its line */
            return answer->size > 0 && answer->bytes[answer->size - 1] == '\n' ? 0 : broken(err);
        buf_added(answer, (size_t)got);
    }
}

static int judge(const struct json *answer, struct error *err)
{
    const char *text = NULL;
    int64_t code = 0;

    if (json_is_null(json_member(json_root(answer), "error")))
        return 0;
    if (json_member_text(json_root(answer), "error", &text, NULL) < 0 ||
        json_member_integer(json_root(answer), "code", &code, NULL) < 0 || code <= 0 || code > 4095)
        return error_set(err, -EBADMSG, "the mount's daemon answers something else");
    return error_set(err, (int)-code, "%s", text);
}

/* A connection, or a negative errno; -ECONNREFUSED: nobody listens. */
static int connect_of(uint64_t device, enum control_of of, uint64_t limit_ms, struct error *err)
{
    cleanup(buf_release) struct buf directory = buf_init(4096), path = buf_init(4096);
    int r = control_path_directory(&directory, err);

    if (r < 0)
        return r;
    if (of == CONTROL_OF_HOLDER)
        control_path_holder(&path, buf_text(&directory), device);
    else
        control_path_socket(&path, buf_text(&directory), device);
    return connect_to(buf_text(&path), limit_ms, err);
}

static int ask_once(uint64_t device, enum control_of of, const char *question, uint64_t limit_ms,
                    struct buf *answer, struct error *err)
{
    cleanup_fd int fd = connect_of(device, of, limit_ms, err);

    buf_clear(answer);
    return fd < 0 ? fd : exchange(fd, question, answer, err);
}

int control_ask_within(uint64_t device, enum control_of of, const char *question, uint64_t limit_ms,
                       struct json **out_answer, struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(ANSWER_MAX);
    cleanup(cleanup_json) struct json *answer = NULL;
    uint64_t until_ms = clock_monotonic_ms() + limit_ms;
    int r = ask_once(device, of, question, limit_ms, &text, err);

    /* A worker that died while it was asked is followed by one who answers. What a mount is asked
     * may be asked twice; not so its holder. */
    while (r == -ECONNRESET && of == CONTROL_OF_MOUNT && clock_monotonic_ms() < until_ms)
        r = ask_once(device, of, question, limit_ms, &text, err);
    if (r == -ECONNRESET || r == -ECONNREFUSED)
        r = -EAGAIN;
    if (r == 0)
        r = json_parse(span_trim(buf_span(&text)), &answer, err);
    if (r == 0)
        r = judge(answer, err);
    if (r == 0)
        *out_answer = take_pointer(&answer);
    return r;
}

int control_ask(uint64_t device, const char *question, struct json **out_answer, struct error *err)
{
    return control_ask_within(device, CONTROL_OF_MOUNT, question, ANSWER_MS, out_answer, err);
}

int control_ask_holder(uint64_t device, const char *question, struct json **out_answer,
                       struct error *err)
{
    return control_ask_within(device, CONTROL_OF_HOLDER, question, ANSWER_MS, out_answer, err);
}

int control_find_owner(uint64_t device, enum control_of of, int64_t *out_pid, struct error *err)
{
    cleanup_fd int fd = connect_of(device, of, CONNECT_MS, err);
    struct ucred peer;
    socklen_t size = sizeof(peer);

    if (fd == -ECONNREFUSED)
        return error_set(err, -ESTALE, "the mount's daemon is gone");
    if (fd < 0)
        return fd;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return error_system(err, errno, "the socket's owner");
    *out_pid = peer.pid;
    return 0;
}

/* "MAJOR-MINOR.sock" */
static bool parse_name(const char *name, uint64_t *out_device)
{
    struct span rest = span_text(name), major_text, minor_text;
    uint64_t major_number, minor_number;

    if (!span_cut(&rest, '-', &major_text) || !span_cut(&rest, '.', &minor_text) ||
        !span_equal_text(rest, "sock") ||
        number_parse(major_text, UINT32_MAX, &major_number, NULL) < 0 ||
        number_parse(minor_text, UINT32_MAX, &minor_number, NULL) < 0)
        return false;
    *out_device = makedev((unsigned)major_number, (unsigned)minor_number);
    return true;
}

int control_list(control_each *each, void *context, struct error *err)
{
    cleanup(buf_release) struct buf directory = buf_init(4096);
    struct dirent *entry;
    uint64_t device;
    DIR *list;
    int r = control_path_directory(&directory, err);

    if (r < 0)
        return r;
    list = opendir(buf_text(&directory));
    if (list == NULL)
        return error_system(err, errno, "%s", buf_text(&directory));
    while (r == 0 && (entry = readdir(list)) != NULL)
        if (parse_name(entry->d_name, &device))
            r = each(context, device, err);
    closedir(list);
    return r;
}
