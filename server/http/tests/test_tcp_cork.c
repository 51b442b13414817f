/* SPDX-License-Identifier: MIT */
#include "server/http/tcp_cork.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/error.h"
#include "server/http/tests/http_fixture.h"

#define BODY_SIZE ((size_t)32 << 20) /* more than socket buffers take */
#define IN_FLIGHT 50000              /* received and not read: the body is on its way */

static int large_file(struct http_exchange *exchange, void *context, struct error *err)
{
    const struct http_content content = { .media_type = "application/octet-stream",
                                          .etag = "\"large\"",
                                          .size = BODY_SIZE };
    static uint8_t bytes[1 << 20];
    uint64_t offset, part;
    bool needed;
    int fd, r = http_content_begin(exchange, &content, &needed, &offset, &part, err);

    if (r < 0 || !needed)
        return r;
    fd = memfd_create("large", MFD_CLOEXEC);
    assert_true(fd >= 0);
    for (size_t i = 0; i < BODY_SIZE / sizeof(bytes); i++)
        assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
    return http_content_file(exchange, &fd, offset, err);
}

static const struct http_operation operations[] = {
    { .label = "/large", .handle = large_file },
    { 0 },
};

/* The server's end of the client's connection: it is in this process too. */
static int other_end(int client)
{
    struct sockaddr_in own = { 0 };
    socklen_t size = sizeof(own);
    struct dirent *entry;
    DIR *folder = opendir("/proc/self/fd");
    int found = -1;

    assert_non_null(folder);
    assert_int_equal(getsockname(client, (struct sockaddr *)&own, &size), 0);
    while (found < 0 && (entry = readdir(folder)) != NULL) {
        int fd = (int)strtol(entry->d_name, NULL, 10);
        struct sockaddr_in peer = { 0 };

        size = sizeof(peer);
        if (getpeername(fd, (struct sockaddr *)&peer, &size) == 0 && peer.sin_family == AF_INET &&
            peer.sin_port == own.sin_port)
            found = fd;
    }
    closedir(folder);
    assert_true(found >= 0);
    return found;
}

static void a_large_body_is_not_corked(void **state)
{
    const struct fixture_options options = { 0 };
    struct fixture fixture = { 0 };
    socklen_t size = sizeof(int);
    int client, waiting = 0, corked = -1;

    fixture_start(&fixture, operations, &options);
    client = client_open(&fixture);
    client_send(client, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    while (waiting < IN_FLIGHT) {
        struct pollfd ready = { client, POLLIN, 0 };

        assert_int_equal(poll(&ready, 1, 30000), 1);
        assert_int_equal(ready.revents, POLLIN);
        assert_int_equal(ioctl(client, FIONREAD, &waiting), 0);
    }
    assert_int_equal(getsockopt(other_end(client), IPPROTO_TCP, TCP_CORK, &corked, &size), 0);
    assert_int_equal(corked, 0);
    close(client);
    fixture_stop(&fixture);
}

static void other_options_reach_the_kernel(void **state)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1, told = 0;
    socklen_t size = sizeof(told);

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &told, &size), 0);
    assert_int_not_equal(told, 0);
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, 0), -1);
    assert_int_equal(errno, EINVAL);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_body_is_not_corked),
        cmocka_unit_test(other_options_reach_the_kernel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
