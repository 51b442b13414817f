/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "server/http/tests/http_fixture.h"

static _Atomic int closed, waits, loads, dead;

/* What is to be said is given by the test; all feeds share it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char said[64];
static size_t said_size;
static struct http_feed *last;

struct listener {
    size_t given;
    bool wants_load, fails, endless;
};

static enum http_feed_turn take(void *context, void *out, size_t size, size_t *out_size)
{
    struct listener *listener = context;
    size_t left;

    if (listener->wants_load)
        return HTTP_FEED_LOAD;
    if (listener->endless) {
        memset(out, 'x', size);
        *out_size = size;
        return HTTP_FEED_BYTES;
    }
    pthread_mutex_lock(&lock);
    left = said_size - listener->given;
    *out_size = left < size ? left : size;
    memcpy(out, said + listener->given, *out_size);
    listener->given += *out_size;
    pthread_mutex_unlock(&lock);
    if (*out_size > 0)
        return listener->given > 0 && said[listener->given - 1] == '.' && *out_size == 1
                   ? HTTP_FEED_END
                   : HTTP_FEED_BYTES;
    atomic_fetch_add(&waits, 1);
    return HTTP_FEED_WAIT;
}

static int load(void *context, struct error *err)
{
    struct listener *listener = context;

    atomic_fetch_add(&loads, 1);
    listener->wants_load = false;
    return listener->fails ? error_set(err, -EIO, "the disk is gone") : 0;
}

static void close_listener(void *context)
{
    memory_free(context);
    atomic_fetch_add(&closed, 1);
}

static int answer(struct http_exchange *exchange, bool wants_load, bool fails, bool endless,
                  struct error *err)
{
    struct listener *listener = memory_new(sizeof(*listener));
    struct http_feed *feed;
    int r;

    *listener = (struct listener){ 0, wants_load, fails, endless };
    r = http_answer_feed(exchange, "text/event-stream",
                         &(struct http_feed_source){ listener, take, load, close_listener }, &feed,
                         err);
    if (r == 0)
        last = feed;
    return r;
}

static int plain(struct http_exchange *exchange, void *context, struct error *err)
{
    return answer(exchange, false, false, false, err);
}

static int loading(struct http_exchange *exchange, void *context, struct error *err)
{
    return answer(exchange, true, false, false, err);
}

static int failing(struct http_exchange *exchange, void *context, struct error *err)
{
    return answer(exchange, true, true, false, err);
}

static int endless(struct http_exchange *exchange, void *context, struct error *err)
{
    return answer(exchange, false, false, true, err);
}

static const struct http_operation operations[] = {
    { .label = "/plain", .place = HTTP_ON_WORKER, .handle = plain },
    { .label = "/loading", .place = HTTP_ON_WORKER, .handle = loading },
    { .label = "/failing", .place = HTTP_ON_WORKER, .handle = failing },
    { .label = "/endless", .place = HTTP_ON_WORKER, .handle = endless },
    { .label = NULL },
};

static bool alive(const char *actor, void *context)
{
    return atomic_load(&dead) == 0;
}

static int admit(struct http_exchange *exchange, struct fixture *fixture, struct error *err)
{
    http_exchange_set_actor(exchange, "somebody");
    return 0;
}

static void start(struct fixture *fixture, const struct fixture_options *options)
{
    closed = waits = loads = dead = 0;
    said_size = 0;
    last = NULL;
    fixture_start(fixture, operations, options);
}

static void say(const char *text)
{
    pthread_mutex_lock(&lock);
    memcpy(said + said_size, text, strlen(text));
    said_size += strlen(text);
    pthread_mutex_unlock(&lock);
    http_feed_wake(last);
}

static int ask(const struct fixture *fixture, const char *path)
{
    char request[100];
    int fd = client_open(fixture);

    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);
    client_send(fd, request);
    return fd;
}

/* Reads until the text has come. */
static void expect(int fd, const char *text)
{
    char seen[4096];
    size_t size = 0;
    ssize_t got;

    seen[0] = '\0';
    while (strstr(seen, text) == NULL) {
        assert_true(size < sizeof(seen) - 1);
        got = recv(fd, seen + size, sizeof(seen) - 1 - size, 0);
        assert_true(got > 0);
        size += (size_t)got;
        seen[size] = '\0';
    }
}

static void what_is_said_comes(void **state)
{
    struct fixture fixture = { 0 };
    int fd;

    start(&fixture, NULL);
    fd = ask(&fixture, "/plain");
    expect(fd, "text/event-stream");
    wait_for(&waits, 1);
    say("one");
    expect(fd, "one");
    wait_for(&waits, 2);
    say("two");
    expect(fd, "two");
    wait_for(&waits, 3);
    say(".");
    expect(fd, "0\r\n\r\n");
    wait_for(&closed, 1);
    /* the connection lives on */
    client_send(fd, "HEAD /plain HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(fd, "200 OK");
    wait_for(&closed, 2);
    close(fd);
    fixture_stop(&fixture);
}

/* A wake that comes while the source is asked is not lost. */
static void wakes_race_with_waits(void **state)
{
    struct fixture fixture = { 0 };
    int fd;

    start(&fixture, NULL);
    fd = ask(&fixture, "/plain");
    wait_for(&waits, 1);
    for (int i = 0; i < 2000; i++)
        http_feed_wake(last);
    say("end");
    expect(fd, "end");
    close(fd);
    fixture_stop(&fixture);
    assert_int_equal(closed, 1);
}

static void loads_on_a_worker(void **state)
{
    struct fixture fixture = { 0 };
    struct reply reply;
    int fd;

    start(&fixture, NULL);
    fd = ask(&fixture, "/loading");
    wait_for(&loads, 1);
    wait_for(&waits, 1);
    say("then");
    expect(fd, "then");
    close(fd);
    reply = client_ask(&fixture, "GET /failing HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(reply.status, 200);
    assert_false(reply.whole);
    reply_release(&reply);
    fixture_stop(&fixture);
    assert_int_equal(closed, 2);
}

static void ends_with_its_actor(void **state)
{
    struct fixture fixture = { .admit = admit };
    int fd;

    start(&fixture, &(struct fixture_options){ .alive = alive });
    fd = ask(&fixture, "/plain");
    wait_for(&waits, 1);
    atomic_store(&dead, 1);
    assert_true(client_is_closed(fd));
    wait_for(&closed, 1);
    close(fd);
    fixture_stop(&fixture);
}

/* Its place is free at once, also when there is nothing to send for long. */
static void one_whose_peer_is_gone_ends(void **state)
{
    struct fixture fixture = { .admit = admit };
    int gone, other;

    start(&fixture, &(struct fixture_options){ .alive = alive });
    gone = ask(&fixture, "/plain");
    wait_for(&waits, 1);
    other = ask(&fixture, "/plain");
    wait_for(&waits, 2);
    close(gone);
    wait_for(&closed, 1);
    say("still there");
    expect(other, "still there");
    assert_int_equal(closed, 1);
    close(other);
    fixture_stop(&fixture);
}

static void one_that_does_not_read_is_closed(void **state)
{
    struct fixture fixture = { 0 };
    int fd;

    start(&fixture, &(struct fixture_options){ .idle_timeout_s = 1 });
    fd = ask(&fixture, "/endless");
    wait_for(&closed, 1);
    close(fd);
    fixture_stop(&fixture);
}

/* Neither one that waits nor one whose peer does not read delays the end of the server. */
static void stop_does_not_wait(void **state)
{
    struct fixture fixture = { 0 };
    uint64_t began_ms;
    int one, two;

    start(&fixture, &(struct fixture_options){ .idle_timeout_s = 600 });
    one = ask(&fixture, "/plain");
    wait_for(&waits, 1);
    two = ask(&fixture, "/endless");
    expect(two, "xxxx");
    began_ms = clock_monotonic_ms();
    fixture.server = http_server_stop(fixture.server, 600000);
    assert_true(clock_monotonic_ms() - began_ms < 300000);
    assert_int_equal(closed, 2);
    expect(one, "0\r\n\r\n");
    close(one);
    close(two);
    fixture_stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_said_comes),
        cmocka_unit_test(wakes_race_with_waits),
        cmocka_unit_test(loads_on_a_worker),
        cmocka_unit_test(ends_with_its_actor),
        cmocka_unit_test(one_whose_peer_is_gone_ends),
        cmocka_unit_test(one_that_does_not_read_is_closed),
        cmocka_unit_test(stop_does_not_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
