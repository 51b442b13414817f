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
#include "common/base/error.h"
#include "common/base/number.h"
#include "common/codec/json.h"
#include "fs/control/control_path.h"

#define ANSWER_MAX ((size_t)256 * 1024 * 1024)
#define ANSWER_S 60
#define CHUNK 65536

CLEANUP_DEFINE(json, json_free);

static int connect_to(const char *path, struct error *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct timeval limit = { .tv_sec = ANSWER_S };
    int fd;

    if (strlen(path) >= sizeof(address.sun_path))
        return error_set(err, -EINVAL, "%s is too long for a socket", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_system(err, errno, "socket");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        int saved = errno;
        close(fd);
        if (saved == ENOENT)
            return error_set(err, -ENOENT,
                             "it is not a running mount of kkartifact (of this user)");
        return error_set(err, -EAGAIN, "the mount's daemon does not answer: %s", strerror(saved));
    }
    return fd;
}

static int exchange(int fd, const char *question, struct buf *answer, struct error *err)
{
    size_t size = strlen(question);

    if (send(fd, question, size, MSG_NOSIGNAL) != (ssize_t)size ||
        send(fd, "\n", 1, MSG_NOSIGNAL) != 1)
        return error_set(err, -EAGAIN, "the mount's daemon does not listen");
    for (;;) {
        uint8_t *at = buf_reserve(answer, CHUNK);
        ssize_t got = at == NULL ? -1 : recv(fd, at, CHUNK, 0);
        if (at == NULL)
            return buf_check(answer, err);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set(err, -EAGAIN, "the mount's daemon does not answer: %s",
                             strerror(errno));
        if (got == 0)
            return 0;
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

typedef void path_function(struct buf *out, const char *directory, uint64_t device);

static int ask_at(path_function *path_of, uint64_t device, const char *question,
                  struct json **out_answer, struct error *err)
{
    cleanup(buf_release) struct buf directory = buf_init(4096), path = buf_init(4096);
    cleanup(buf_release) struct buf text = buf_init(ANSWER_MAX);
    cleanup(cleanup_json) struct json *answer = NULL;
    cleanup_fd int fd = -1;
    int r = control_path_directory(&directory, err);

    if (r < 0)
        return r;
    path_of(&path, buf_text(&directory), device);
    fd = connect_to(buf_text(&path), err);
    if (fd < 0)
        return fd;
    r = exchange(fd, question, &text, err);
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
    return ask_at(control_path_socket, device, question, out_answer, err);
}

int control_ask_holder(uint64_t device, const char *question, struct json **out_answer,
                       struct error *err)
{
    return ask_at(control_path_holder, device, question, out_answer, err);
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
