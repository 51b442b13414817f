/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/base/error.h"
#include "server/http/tests/http_fixture.h"

#define BODY_MAX (8 << 20)

static _Atomic int begun, ended, aborted, largest_piece, held;

struct taker {
    uint64_t size;
    uint64_t sum;
    uint64_t fail_at; /* bytes after which data() fails; 0: never */
    bool slow;
};

static int begin(struct http_exchange *exchange, void *context, void **out_sink, struct error *err)
{
    const char *fail_at = http_exchange_header(exchange, "X-Fail-At");
    struct taker *taker;

    assert_true(http_exchange_may_block(exchange));
    if (http_exchange_header(exchange, "X-Refuse") != NULL)
        return error_set(err, -EACCES, "not this one");
    if (http_exchange_header(exchange, "X-Known") != NULL)
        return http_answer_empty(exchange, 204, err);
    taker = memory_new(sizeof(*taker));
    taker->fail_at = fail_at != NULL ? strtoull(fail_at, NULL, 10) : 0;
    taker->slow = http_exchange_header(exchange, "X-Slow") != NULL;
    atomic_fetch_add(&begun, 1);
    *out_sink = taker;
    return 0;
}

static int data(void *sink, struct span bytes, struct error *err)
{
    struct taker *taker = sink;

    if ((int)bytes.size > atomic_load(&largest_piece))
        atomic_store(&largest_piece, (int)bytes.size);
    while (atomic_load(&held) > 0)
        nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
    if (taker->slow)
        nanosleep(&(struct timespec){ 0, 3000000 }, NULL);
    for (size_t i = 0; i < bytes.size; i++)
        taker->sum = taker->sum * 31 + bytes.bytes[i];
    taker->size += bytes.size;
    if (taker->fail_at > 0 && taker->size >= taker->fail_at)
        return error_set(err, -ENOSPC, "no room left");
    return 0;
}

static int end(void *sink, struct http_exchange *exchange, struct error *err)
{
    struct taker *taker = sink;
    struct buf body = buf_init(100);

    buf_format(&body, "%llu %llu", (unsigned long long)taker->size, (unsigned long long)taker->sum);
    memory_free(taker);
    atomic_fetch_add(&ended, 1);
    return http_answer_text(exchange, 200, "text/plain", &body, false, err);
}

static void abort_taker(void *sink)
{
    memory_free(sink);
    atomic_fetch_add(&aborted, 1);
}

static const struct http_sink sink = { begin, data, end, abort_taker };

static const struct http_operation operations[] = {
    { .label = "/put", .body = HTTP_BODY_STREAM, .body_max = BODY_MAX, .sink = &sink },
    { .label = "/part",
      .body = HTTP_BODY_STREAM,
      .body_max = BODY_MAX,
      .length_required = true,
      .sink = &sink },
    { .label = NULL },
};

static void start(struct fixture *fixture, const struct fixture_options *options)
{
    begun = ended = aborted = largest_piece = held = 0;
    fixture_start(fixture, operations, options);
}

static uint8_t *body_make(size_t size, uint64_t *out_sum)
{
    uint8_t *body = malloc(size + 1);

    assert_non_null(body);
    *out_sum = 0;
    for (size_t i = 0; i < size; i++) {
        body[i] = (uint8_t)(i * 7 + (i >> 9));
        *out_sum = *out_sum * 31 + body[i];
    }
    return body;
}

static void send_head(int fd, const char *path, const char *headers, size_t size)
{
    struct buf head = buf_init(4096);

    buf_format(&head, "PUT %s HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n%s\r\n", path, size,
               headers);
    client_send(fd, buf_text(&head));
    buf_release(&head);
}

static void assert_taken(struct reply *reply, size_t size, uint64_t sum)
{
    char expected[64];

    snprintf(expected, sizeof(expected), "%zu %llu", size, (unsigned long long)sum);
    assert_int_equal(reply->status, 200);
    assert_string_equal(buf_text(&reply->body), expected);
}

static void bodies_of_all_sizes(void **state)
{
    static const size_t sizes[] = { 0, 1, 1000, 262143, 262144, 262145, 524288, 3000001, BODY_MAX };
    struct fixture fixture = { 0 };
    int fd;

    start(&fixture, NULL);
    fd = client_open(&fixture);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct reply reply;
        uint64_t sum;
        uint8_t *body = body_make(sizes[i], &sum);

        send_head(fd, "/part", i % 2 == 1 ? "X-Slow: 1\r\n" : "", sizes[i]);
        client_send_bytes(fd, body, sizes[i]);
        client_read(fd, &reply, false);
        assert_taken(&reply, sizes[i], sum);
        reply_release(&reply);
        free(body);
    }
    close(fd);
    fixture_stop(&fixture);
    assert_int_equal(ended, sizeof(sizes) / sizeof(sizes[0]));
    assert_int_equal(aborted, 0);
    assert_int_equal(largest_piece, 262144);
}

static void send_chunked(int fd, const uint8_t *body, size_t size, size_t chunk)
{
    for (size_t at = 0; at < size; at += chunk) {
        size_t part = size - at < chunk ? size - at : chunk;
        char line[32];

        snprintf(line, sizeof(line), "%zx\r\n", part);
        client_send(fd, line);
        client_send_bytes(fd, body + at, part);
        client_send(fd, "\r\n");
    }
    client_send(fd, "0\r\n\r\n");
}

static void chunked_body(void **state)
{
    static const char head[] = "PUT /put HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    const size_t size = 700001;
    struct fixture fixture = { 0 };
    struct reply reply;
    uint64_t sum;
    uint8_t *body = body_make(size, &sum);
    int fd;

    start(&fixture, NULL);
    fd = client_open(&fixture);
    client_send(fd, head);
    send_chunked(fd, body, size, 30011);
    client_read(fd, &reply, false);
    assert_taken(&reply, size, sum);
    reply_release(&reply);
    free(body);

    /* more than allowed: the length was not told, so it is found out in the middle */
    body = body_make(BODY_MAX + 100000, &sum);
    client_send(fd, head);
    send_chunked(fd, body, BODY_MAX + 100000, 200000);
    client_read(fd, &reply, false);
    assert_int_equal(reply.status, 413);
    reply_release(&reply);
    close(fd);

    free(body);

    /* and much more: the connection is cut */
    body = body_make(BODY_MAX + 3000000, &sum);
    fd = client_open(&fixture);
    client_send(fd, head);
    send_chunked(fd, body, BODY_MAX + 3000000, 2000000);
    assert_true(client_is_closed(fd));
    close(fd);
    free(body);
    wait_for(&aborted, 2);
    fixture_stop(&fixture);
    assert_int_equal(ended, 1);
    assert_int_equal(aborted, 2);
}

static void judged_before_the_body(void **state)
{
    struct fixture fixture = { 0 };
    struct reply reply;
    int fd;

    start(&fixture, NULL);
    fd = client_open(&fixture);
    send_head(fd, "/part", "Expect: 100-continue\r\n", BODY_MAX + 1);
    client_read(fd, &reply, false);
    assert_int_equal(reply.status, 413);
    reply_release(&reply);
    assert_true(client_is_closed(fd));
    close(fd);

    fd = client_open(&fixture);
    client_send(fd, "PUT /part HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client_read(fd, &reply, false);
    assert_int_equal(reply.status, 411);
    reply_release(&reply);
    close(fd);

    fd = client_open(&fixture);
    send_head(fd, "/part", "Expect: 100-continue\r\nX-Refuse: 1\r\n", 5);
    client_read(fd, &reply, false);
    assert_int_equal(reply.status, 403);
    reply_release(&reply);
    close(fd);

    fd = client_open(&fixture);
    send_head(fd, "/part", "Expect: 100-continue\r\n", 5);
    assert_true(client_sees_continue(fd));
    client_send(fd, "hello");
    client_read(fd, &reply, false);
    assert_int_equal(reply.status, 200);
    reply_release(&reply);
    close(fd);
    fixture_stop(&fixture);
    assert_int_equal(begun, 1);
}

/* A small refused body is read and dropped: the next request on the connection is answered. */
static void refused_small_body_keeps_the_connection(void **state)
{
    struct fixture fixture = { 0 };
    struct reply reply;
    int fd;

    start(&fixture, NULL);
    fd = client_open(&fixture);
    for (int i = 0; i < 3; i++) {
        send_head(fd, "/part", i == 0 ? "X-Refuse: 1\r\n" : i == 1 ? "X-Known: 1\r\n" : "", 5);
        client_send(fd, "hello");
        client_read(fd, &reply, false);
        assert_int_equal(reply.status, i == 0 ? 403 : i == 1 ? 204 : 200);
        reply_release(&reply);
    }
    close(fd);
    fixture_stop(&fixture);
}

static void failure_in_the_middle(void **state)
{
    const size_t size = 4000000;
    struct fixture fixture = { 0 };
    struct reply reply;
    uint64_t sum;
    uint8_t *body = body_make(size, &sum);
    int fd;

    start(&fixture, NULL);
    fd = client_open(&fixture);
    for (int i = 1; i <= 3; i++) {
        char fail_at[64];

        snprintf(fail_at, sizeof(fail_at), "X-Fail-At: %d\r\n", i == 3 ? (int)size : i * 100000);
        send_head(fd, "/part", fail_at, size);
        client_send_bytes(fd, body, size);
        client_read(fd, &reply, false);
        assert_int_equal(reply.status, 507);
        assert_null(strstr(buf_text(&reply.body), "no room left"));
        reply_release(&reply);
        assert_int_equal(aborted, i);
    }
    close(fd);
    free(body);
    fixture_stop(&fixture);
    assert_int_equal(ended, 0);
}

static void client_that_goes(void **state)
{
    static const size_t sent[] = { 0, 1, 262144, 300000, 2000000 };
    struct fixture fixture = { 0 };
    uint64_t sum;
    uint8_t *body = body_make(3000000, &sum);

    start(&fixture, NULL);
    for (size_t i = 0; i < sizeof(sent) / sizeof(sent[0]); i++) {
        int fd = client_open(&fixture);

        send_head(fd, "/part", i % 2 == 0 ? "X-Slow: 1\r\n" : "", 3000000);
        client_send_bytes(fd, body, sent[i]);
        wait_for(&begun, (int)i + 1);
        close(fd);
        wait_for(&aborted, (int)i + 1);
    }
    free(body);
    fixture_stop(&fixture);
    assert_int_equal(aborted, sizeof(sent) / sizeof(sent[0]));
    assert_int_equal(ended, 0);
}

static void client_that_stops_sending(void **state)
{
    const struct fixture_options impatient = { .idle_timeout_s = 1 };
    struct fixture fixture = { 0 };
    int fd;

    start(&fixture, &impatient);
    fd = client_open(&fixture);
    send_head(fd, "/part", "", 3000000);
    client_send(fd, "some");
    wait_for(&aborted, 1);
    assert_true(client_is_closed(fd));
    close(fd);
    fixture_stop(&fixture);
}

/* A sink that does not keep up stops the client, not the memory: 2 pieces and the sockets'
 * buffers. */
static void back_pressure(void **state)
{
    const size_t size = BODY_MAX;
    struct fixture fixture = { 0 };
    uint64_t sum;
    uint8_t *body = body_make(size, &sum);
    struct reply reply;
    size_t sent = 0;
    int fd, idle = 0;

    start(&fixture, NULL);
    atomic_store(&held, 1);
    fd = client_open(&fixture);
    send_head(fd, "/part", "", size);
    while (idle < 50 && sent < size) {
        ssize_t some = send(fd, body + sent, size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

        idle = some > 0 ? 0 : idle + 1;
        sent += some > 0 ? (size_t)some : 0;
        nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
    }
    assert_true(sent < size);
    atomic_store(&held, 0);
    client_send_bytes(fd, body + sent, size - sent);
    client_read(fd, &reply, false);
    assert_taken(&reply, size, sum);
    reply_release(&reply);
    close(fd);
    free(body);
    fixture_stop(&fixture);
}

/* The server ends while a body is on its way and the sink is at work. */
static void stop_in_the_middle(void **state)
{
    struct fixture fixture = { 0 };
    uint64_t sum;
    uint8_t *body = body_make(1000000, &sum);
    int fd;

    start(&fixture, NULL);
    fd = client_open(&fixture);
    send_head(fd, "/part", "X-Slow: 1\r\n", 3000000);
    client_send_bytes(fd, body, 1000000);
    wait_for(&begun, 1);
    fixture.server = http_server_stop(fixture.server, 20);
    assert_int_equal(aborted, 1);
    close(fd);
    free(body);
    fixture_stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_of_all_sizes),
        cmocka_unit_test(chunked_body),
        cmocka_unit_test(judged_before_the_body),
        cmocka_unit_test(refused_small_body_keeps_the_connection),
        cmocka_unit_test(failure_in_the_middle),
        cmocka_unit_test(client_that_goes),
        cmocka_unit_test(client_that_stops_sending),
        cmocka_unit_test(back_pressure),
        cmocka_unit_test(stop_in_the_middle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
