/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "server/http/tests/http_fixture.h"

#define SIZE ((uint64_t)64 << 20) /* more than the sockets of both sides hold */

static _Atomic int dead, aborted, ended;

static bool alive(const char *actor, void *context)
{
    return strcmp(actor, "mortal") != 0 || atomic_load(&dead) == 0;
}

static int admit(struct http_exchange *exchange, struct fixture *fixture, struct error *err)
{
    const char *actor = http_exchange_header(exchange, "X-Actor");

    if (actor != NULL)
        http_exchange_set_actor(exchange, actor);
    return 0;
}

static int whole_file(int *out_fd)
{
    char path[] = "/tmp/http_watch.XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(posix_fallocate(fd, 0, (off_t)SIZE), 0);
    *out_fd = fd;
    return 0;
}

static int from_file(struct http_exchange *exchange, void *context, struct error *err)
{
    const struct http_content content = { .media_type = "application/octet-stream",
                                          .etag = "\"tag\"",
                                          .size = SIZE };
    uint64_t offset, part;
    bool needed;
    int fd, r = http_content_begin(exchange, &content, &needed, &offset, &part, err);

    if (r < 0 || !needed)
        return r;
    whole_file(&fd);
    return http_content_file(exchange, &fd, offset, err);
}

static int endless_read(void *context, void *out, size_t size, size_t *out_size, struct error *err)
{
    memset(out, 'x', size);
    *out_size = size;
    return 0;
}

static void endless_close(void *context)
{
    atomic_fetch_add(&ended, 1);
}

static int from_source(struct http_exchange *exchange, void *context, struct error *err)
{
    return http_answer_source(exchange, "text/plain",
                              &(struct http_source){ NULL, endless_read, endless_close }, err);
}

static int begin(struct http_exchange *exchange, void *context, void **out_sink, struct error *err)
{
    *out_sink = context;
    return 0;
}

static int data(void *sink, struct span bytes, struct error *err)
{
    return 0;
}

static int end(void *sink, struct http_exchange *exchange, struct error *err)
{
    return http_answer_empty(exchange, 204, err);
}

static void abort_sink(void *sink)
{
    atomic_fetch_add(&aborted, 1);
}

static const struct http_sink sink = { begin, data, end, abort_sink };

static const struct http_operation operations[] = {
    { .label = "/file", .place = HTTP_ON_WORKER, .handle = from_file },
    { .label = "/source", .place = HTTP_ON_WORKER, .handle = from_source },
    { .label = "/body", .body = HTTP_BODY_STREAM, .body_max = UINT64_MAX, .sink = &sink },
    { 0 },
};

/* One that begins to read, or to send, and then waits. */
static int start(const struct fixture *fixture, const char *path, const char *actor)
{
    char request[200], byte;
    int fd = client_open(fixture);
    const bool upload = strcmp(path, "/body") == 0;

    snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: x\r\nX-Actor: %s\r\n%s\r\n",
             upload ? "PATCH" : "GET", path, actor, upload ? "Content-Length: 1000000\r\n" : "");
    client_send(fd, request);
    if (upload)
        client_send(fd, "some bytes");
    else
        assert_int_equal(recv(fd, &byte, 1, 0), 1);
    return fd;
}

/* Bytes until the end, or until the whole content may have come. */
static uint64_t drain(int fd)
{
    static char bytes[1 << 16];
    uint64_t size = 0;
    ssize_t n;

    while (size < SIZE && (n = recv(fd, bytes, sizeof(bytes), 0)) > 0)
        size += (uint64_t)n;
    close(fd);
    return size;
}

static void the_dead_are_cut(void **state)
{
    const struct fixture_options options = { .alive = alive };
    struct fixture fixture = { .admit = admit };
    uint64_t started_ms;
    int file, source, body, other;

    atomic_store(&dead, 0);
    fixture_start(&fixture, operations, &options);
    file = start(&fixture, "/file", "mortal");
    source = start(&fixture, "/source", "mortal");
    body = start(&fixture, "/body", "mortal");
    other = start(&fixture, "/file", "other");
    started_ms = clock_monotonic_ms();
    atomic_store(&dead, 1);
    wait_for(&ended, 1);
    wait_for(&aborted, 1);
    assert_true(clock_monotonic_ms() - started_ms < 5000);
    assert_true(drain(file) < SIZE);
    assert_true(drain(source) < SIZE);
    drain(body);
    assert_true(drain(other) >= SIZE); /* nothing happened to anybody else */
    fixture_stop(&fixture);
}

/* Those without an actor, and everybody where nobody is asked. */
static void others_are_left_alone(void **state)
{
    struct fixture fixture = { .admit = admit };
    int fd;

    atomic_store(&dead, 1);
    fixture_start(&fixture, operations, NULL);
    fd = start(&fixture, "/file", "mortal");
    assert_true(drain(fd) >= SIZE);
    fixture_stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_dead_are_cut),
        cmocka_unit_test(others_are_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
