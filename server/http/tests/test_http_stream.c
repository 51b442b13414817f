/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/error.h"
#include "server/http/tests/http_fixture.h"

#define PIECES 40
#define PIECE 50000

static _Atomic int closed;

/* Gives PIECES pieces, or fails at number `fail_at`, or never ends. */
struct pieces {
    int given, fail_at;
    bool endless;
};

static int pieces_read(void *context, void *out, size_t size, size_t *out_size, struct error *err)
{
    struct pieces *pieces = context;

    assert_true(size >= PIECE);
    if (pieces->given == pieces->fail_at)
        return error_set(err, -EIO, "the disk is gone");
    if (pieces->given == PIECES && !pieces->endless) {
        *out_size = 0;
        return 0;
    }
    memset(out, 'a' + pieces->given % 26, PIECE);
    *out_size = PIECE;
    pieces->given++;
    return 0;
}

static void pieces_close(void *context)
{
    memory_free(context);
    atomic_fetch_add(&closed, 1);
}

static int answer(struct http_exchange *exchange, int fail_at, bool endless, struct error *err)
{
    struct pieces *pieces = memory_new(sizeof(*pieces));

    *pieces = (struct pieces){ 0, fail_at, endless };
    return http_answer_source(exchange, "application/yaml",
                              &(struct http_source){ pieces, pieces_read, pieces_close }, err);
}

static int good(struct http_exchange *exchange, void *context, struct error *err)
{
    return answer(exchange, -1, false, err);
}

static int failing(struct http_exchange *exchange, void *context, struct error *err)
{
    return answer(exchange, 5, false, err);
}

static int endless(struct http_exchange *exchange, void *context, struct error *err)
{
    return answer(exchange, -1, true, err);
}

static const struct http_operation operations[] = {
    { .label = "/good", .place = HTTP_ON_WORKER, .handle = good },
    { .label = "/failing", .place = HTTP_ON_WORKER, .handle = failing },
    { .label = "/endless", .place = HTTP_ON_WORKER, .handle = endless },
    { .label = NULL },
};

static void whole_stream(void **state)
{
    struct fixture fixture = { 0 };
    int fd;

    closed = 0;
    fixture_start(&fixture, operations, NULL);
    fd = client_open(&fixture);
    for (int round = 1; round <= 3; round++) {
        struct reply reply;

        client_send(fd, "GET /good HTTP/1.1\r\nHost: a\r\n\r\n");
        client_read(fd, &reply, false);
        assert_int_equal(reply.status, 200);
        assert_string_equal(reply_header(&reply, "Content-Type"), "application/yaml");
        assert_true(reply.whole);
        assert_int_equal(reply.body.size, PIECES * PIECE);
        for (int i = 0; i < PIECES; i++)
            assert_int_equal(reply.body.bytes[i * PIECE + PIECE - 1], 'a' + i % 26);
        reply_release(&reply);
        wait_for(&closed, round);
    }
    client_send(fd, "HEAD /good HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(&closed, 4);
    close(fd);
    fixture_stop(&fixture);
    assert_int_equal(closed, 4);
}

/* A client must be able to tell a cut stream from a whole one. */
static void failure_cuts_the_connection(void **state)
{
    struct fixture fixture = { 0 };
    struct reply reply;

    closed = 0;
    fixture_start(&fixture, operations, NULL);
    reply = client_ask(&fixture, "GET /failing HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(reply.status, 200);
    assert_false(reply.whole);
    assert_true(reply.body.size <= 5 * PIECE);
    reply_release(&reply);
    wait_for(&closed, 1);
    fixture_stop(&fixture);
    assert_int_equal(closed, 1);
}

static void client_that_goes(void **state)
{
    struct fixture fixture = { 0 };

    closed = 0;
    fixture_start(&fixture, operations, NULL);
    for (int i = 1; i <= 10; i++) {
        char some[1000];
        int fd = client_open(&fixture);

        client_send(fd, "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_true(recv(fd, some, sizeof(some), 0) > 0);
        close(fd);
        wait_for(&closed, i);
    }
    fixture_stop(&fixture);
}

/* A stream that never ends does not hold the server's end beyond the grace. */
static void stop_in_the_middle(void **state)
{
    struct fixture fixture = { 0 };
    char some[1000];
    int fd;

    closed = 0;
    fixture_start(&fixture, operations, NULL);
    fd = client_open(&fixture);
    client_send(fd, "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(recv(fd, some, sizeof(some), 0) > 0);
    fixture.server = http_server_stop(fixture.server, 50);
    assert_int_equal(closed, 1);
    close(fd);
    fixture_stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_stream),
        cmocka_unit_test(failure_cuts_the_connection),
        cmocka_unit_test(client_that_goes),
        cmocka_unit_test(stop_in_the_middle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
