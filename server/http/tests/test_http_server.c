/* SPDX-License-Identifier: MIT */
#include "server/http/http_server.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/workers.h"
#include "server/http/tests/http_fixture.h"

static _Atomic int inside, held;

static int quick(struct http_exchange *exchange, void *context, struct error *err)
{
    return http_answer_empty(exchange, 204, err);
}

static int waits(struct http_exchange *exchange, void *context, struct error *err)
{
    atomic_fetch_add(&inside, 1);
    while (atomic_load(&held) > 0)
        nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
    return http_answer_empty(exchange, 204, err);
}

static const struct http_operation operations[] = {
    { .label = "/quick", .handle = quick },
    { .label = "/waits", .place = HTTP_ON_WORKER, .handle = waits },
    { .label = NULL },
};

static const char quick_request[] = "GET /quick HTTP/1.1\r\nHost: a\r\n\r\n";

static void used_port(void **state)
{
    struct fixture fixture = { 0 };
    struct http_options options = { .address = "127.0.0.1",
                                    .connection_max = 10,
                                    .idle_timeout_s = 10 };
    struct http_application application = { 0 };
    struct http_server *server = NULL;
    struct error err = { 0 };

    fixture_start(&fixture, operations, NULL);
    options.port = fixture.port;
    options.workers = fixture.workers;
    assert_int_equal(http_server_start(&options, &application, &server, &err), -EADDRINUSE);
    assert_non_null(strstr(err.text, "127.0.0.1"));
    assert_null(server);
    options.address = "localhost";
    assert_int_equal(http_server_start(&options, &application, &server, &err), -EINVAL);
    fixture_stop(&fixture);
}

static void tls_needs_a_key_that_fits(void **state)
{
    struct fixture fixture = { 0 };
    struct http_options options = { .address = "127.0.0.1",
                                    .connection_max = 10,
                                    .idle_timeout_s = 10,
                                    .tls_certificate = "no certificate",
                                    .tls_key = "no key" };
    struct http_application application = { 0 };
    struct http_server *server = NULL;
    struct error err = { 0 };

    fixture_start(&fixture, operations, NULL);
    options.workers = fixture.workers;
    assert_int_equal(http_server_start(&options, &application, &server, &err), -EINVAL);
    assert_null(server);
    fixture_stop(&fixture);
}

static void keep_alive(void **state)
{
    struct fixture fixture = { 0 };
    int fd;

    fixture_start(&fixture, operations, NULL);
    fd = client_open(&fixture);
    for (int i = 0; i < 1000; i++) {
        struct reply reply;

        client_send(fd, quick_request);
        client_read(fd, &reply, false);
        assert_int_equal(reply.status, 204);
        reply_release(&reply);
    }
    close(fd);
    fixture_stop(&fixture);
}

static void *stop(void *context)
{
    struct fixture *fixture = context;

    fixture->server = http_server_stop(fixture->server, 20000);
    return NULL;
}

/* New connections are refused, the request in flight is answered, and then it is over. */
static void graceful_stop(void **state)
{
    struct fixture fixture = { 0 };
    struct reply reply;
    pthread_t thread;
    uint64_t before;
    int idle, busy;

    inside = 0;
    held = 1;
    fixture_start(&fixture, operations, NULL);
    idle = client_open(&fixture);
    client_send(idle, quick_request);
    client_read(idle, &reply, false);
    reply_release(&reply);
    busy = client_open(&fixture);
    client_send(busy, "GET /waits HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(&inside, 1);
    before = clock_monotonic_ms();
    assert_int_equal(pthread_create(&thread, NULL, stop, &fixture), 0);
    while (!client_is_refused(&fixture))
        assert_true(clock_monotonic_ms() - before < 10000);
    held = 0;
    client_read(busy, &reply, false);
    assert_int_equal(reply.status, 204);
    assert_string_equal(reply_header(&reply, "Connection"), "close");
    reply_release(&reply);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(clock_monotonic_ms() - before < 10000);
    assert_true(client_is_closed(idle));
    close(idle);
    close(busy);
    fixture_stop(&fixture);
}

/* A request that was begun and never finished does not hold the end beyond the grace. */
static void stop_with_half_a_request(void **state)
{
    struct fixture fixture = { 0 };
    struct reply reply;
    uint64_t before;
    int fd;

    fixture_start(&fixture, operations, NULL);
    fd = client_open(&fixture);
    /* The half came with a whole one: when that is answered it is there. */
    client_send(fd, "GET /quick HTTP/1.1\r\nHost: a\r\n\r\nGET /quick HTTP/1.1\r\nHost");
    client_read(fd, &reply, false);
    assert_int_equal(reply.status, 204);
    reply_release(&reply);
    before = clock_monotonic_ms();
    fixture.server = http_server_stop(fixture.server, 100);
    assert_true(clock_monotonic_ms() - before < 5000);
    close(fd);
    fixture_stop(&fixture);
}

static void idle_connection_is_closed(void **state)
{
    const struct fixture_options impatient = { .idle_timeout_s = 1 };
    struct fixture fixture = { 0 };
    int fd;

    fixture_start(&fixture, operations, &impatient);
    fd = client_open(&fixture);
    client_send(fd, "GET /quick HTTP/1.1\r\nHo");
    assert_true(client_is_closed(fd));
    close(fd);
    fixture_stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(used_port),
        cmocka_unit_test(tls_needs_a_key_that_fits),
        cmocka_unit_test(keep_alive),
        cmocka_unit_test(graceful_stop),
        cmocka_unit_test(stop_with_half_a_request),
        cmocka_unit_test(idle_connection_is_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
