/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/error.h"
#include "server/http/tests/http_fixture.h"

static _Atomic int handled, blocked, admitted, held;

static int answer_body(struct http_exchange *exchange, void *context, struct error *err)
{
    struct span body = http_exchange_body(exchange);
    struct buf copy = buf_init(65536);

    atomic_fetch_add(&handled, 1);
    buf_add_span(&copy, body);
    buf_add_text(&copy, "!");
    return http_answer_text(exchange, 200, "text/plain", &copy, false, err);
}

/* Refuses to run on the loop. */
static int blocks(struct http_exchange *exchange, void *context, struct error *err)
{
    if (!http_exchange_may_block(exchange)) {
        atomic_fetch_add(&blocked, 1);
        return HTTP_BLOCKS;
    }
    return answer_body(exchange, context, err);
}

static int waits(struct http_exchange *exchange, void *context, struct error *err)
{
    assert_true(http_exchange_may_block(exchange));
    atomic_fetch_add(&blocked, 1);
    while (atomic_load(&held) > 0)
        nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
    return answer_body(exchange, context, err);
}

static const struct http_operation operations[] = {
    { .label = "/json", .body = HTTP_BODY_JSON, .body_max = 10000, .handle = answer_body },
    { .label = "/blocks", .body = HTTP_BODY_JSON, .body_max = 100, .handle = blocks },
    { .label = "/waits", .place = HTTP_ON_WORKER, .handle = waits },
    { .label = "/none", .handle = answer_body },
    { .label = NULL },
};

static int admit(struct http_exchange *exchange, struct fixture *fixture, struct error *err)
{
    atomic_fetch_add(&admitted, 1);
    if (http_exchange_header(exchange, "X-Slow-Token") != NULL &&
        !http_exchange_may_block(exchange))
        return HTTP_BLOCKS;
    if (http_exchange_header(exchange, "X-Bad-Token") != NULL)
        return error_set(err, -EPERM, "who is it");
    return 0;
}

static void start(struct fixture *fixture, const struct fixture_options *options)
{
    handled = blocked = admitted = held = 0;
    fixture->admit = admit;
    fixture_start(fixture, operations, options);
}

static void expect(struct fixture *fixture, const char *request, unsigned status, const char *text)
{
    struct reply reply = client_ask(fixture, request);

    if (reply.status != status)
        fail_msg("%s: %u\n%s", request, reply.status, buf_text(&reply.body));
    if (text != NULL)
        assert_non_null(strstr(buf_text(&reply.body), text));
    reply_release(&reply);
}

#define HEAD_OF(line) line " HTTP/1.1\r\nHost: a\r\n"
#define JSON "Content-Type: application/json; charset=utf-8\r\n"

static void bodies_in_memory(void **state)
{
    struct fixture fixture = { 0 };

    start(&fixture, NULL);
    expect(&fixture, HEAD_OF("POST /json") JSON "Content-Length: 2\r\n\r\n{}", 200, "{}!");
    expect(&fixture, HEAD_OF("POST /blocks") JSON "Content-Length: 2\r\n\r\n{}", 200, "{}!");
    assert_int_equal(blocked, 1);
    expect(&fixture, HEAD_OF("POST /json") "\r\n", 200, "!");
    expect(&fixture,
           HEAD_OF("POST /json") JSON "Expect: 100-continue\r\nContent-Length: 10001\r\n\r\n", 413,
           "too-large");
    expect(&fixture, HEAD_OF("POST /json") "Content-Length: 2\r\n\r\n{}", 415, "unsupported");
    expect(&fixture,
           HEAD_OF("POST /json") "Content-Type: application/jsonx\r\nContent-Length: 2\r\n\r\n{}",
           415, "unsupported");
    expect(&fixture,
           HEAD_OF("POST /json") JSON "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", 415,
           "unsupported");
    expect(&fixture,
           HEAD_OF("POST /json") JSON "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 200,
           "{}!");
    expect(&fixture, HEAD_OF("POST /none") "Content-Length: 5\r\n\r\nhello", 200, "!");
    fixture_stop(&fixture);
}

static void chunked_body_above_the_limit(void **state)
{
    struct buf request = buf_init(BUF_UNLIMITED);
    struct fixture fixture = { 0 };

    start(&fixture, NULL);
    buf_add_text(&request, HEAD_OF("POST /json") JSON "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 40; i++)
        buf_format(&request, "100\r\n%0256d\r\n", 0);
    buf_add_text(&request, "0\r\n\r\n");
    expect(&fixture, buf_text(&request), 413, "too-large");
    buf_release(&request);
    fixture_stop(&fixture);
    assert_int_equal(handled, 0);
}

/* What two readers could understand in two ways is refused, and the connection closed. */
static void ambiguous_framing(void **state)
{
    static const char *const headers[] = {
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Content-Length: 0\r\nContent-Length : 3\r\n",
        "Content-Length: 3\r\nTransfer-Encoding : chunked\r\n",
        "Content-Length: 3\r\nTransfer-Encoding\t: chunked\r\n",
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\tx: y\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: 0x3\r\n",
        "Content-Length: 03\r\n",
        "Content-Length: 99999999999999999999\r\n",
    };
    struct fixture fixture = { 0 };

    start(&fixture, NULL);
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        struct buf request = buf_init(4096);
        struct reply reply;
        int fd = client_open(&fixture);

        buf_format(&request, HEAD_OF("POST /json") JSON "%s\r\n{}\n", headers[i]);
        client_send(fd, buf_text(&request));
        client_read(fd, &reply, false);
        if (reply.status != 400 && reply.status != 413)
            fail_msg("%s: %u", headers[i], reply.status);
        if (!client_is_closed(fd))
            fail_msg("%s: the connection is still open", headers[i]);
        reply_release(&reply);
        buf_release(&request);
        close(fd);
    }
    fixture_stop(&fixture);
    assert_int_equal(handled, 0);
}

static void urls_and_headers(void **state)
{
    struct buf request = buf_init(BUF_UNLIMITED);
    struct fixture fixture = { 0 };

    start(&fixture, NULL);
    expect(&fixture, HEAD_OF("GET /none/%zz") "\r\n", 400, "bad-request");
    expect(&fixture, HEAD_OF("GET /unknown") "\r\n", 404, "not-found");
    expect(&fixture, "GET /none HTTP/1.1\r\n\r\n", 400, NULL); /* no Host */
    buf_add_text(&request, HEAD_OF("GET /none"));
    for (int i = 0; i < 40; i++)
        buf_format(&request, "X-Filler-%d: %01000d\r\n", i, 0);
    buf_add_text(&request, "\r\n");
    expect(&fixture, buf_text(&request), 431, "headers-too-large");
    buf_clear(&request);
    buf_format(&request, "GET /none/%01000000d HTTP/1.1\r\nHost: a\r\n\r\n", 0);
    {
        struct reply reply = client_ask(&fixture, buf_text(&request));

        /* larger than the connection's memory: the library's own answer, or none */
        assert_true(reply.status == 414 || reply.status == 431 || reply.status == 0);
        reply_release(&reply);
    }
    buf_release(&request);
    expect(&fixture, HEAD_OF("GET /none") "\r\n", 200, "!");
    fixture_stop(&fixture);
}

static void admission(void **state)
{
    struct fixture fixture = { 0 };

    start(&fixture, NULL);
    expect(&fixture, HEAD_OF("GET /none") "X-Slow-Token: 1\r\n\r\n", 200, "!");
    assert_int_equal(admitted, 2);
    expect(&fixture, HEAD_OF("GET /none") "X-Bad-Token: 1\r\n\r\n", 401, "unauthenticated");
    expect(&fixture,
           HEAD_OF("POST /json") JSON
           "X-Bad-Token: 1\r\nX-Slow-Token: 1\r\nContent-Length: 2\r\n\r\n{}",
           401, "unauthenticated");
    /* who is not let in learns nothing about the body's rules */
    expect(
        &fixture,
        HEAD_OF(
            "POST /json") "X-Bad-Token: 1\r\nExpect: 100-continue\r\nContent-Length: 99999\r\n\r\n",
        401, "unauthenticated");
    fixture_stop(&fixture);
    assert_int_equal(handled, 1);
}

static void pipelined_requests(void **state)
{
    struct fixture fixture = { 0 };
    struct reply reply;
    int fd;

    start(&fixture, NULL);
    fd = client_open(&fixture);
    client_send(fd, HEAD_OF("POST /blocks") JSON
                "Content-Length: 3\r\n\r\none" HEAD_OF("GET /none") "\r\n" HEAD_OF("POST /json")
                    JSON
                "Content-Length: 3\r\n\r\ntwo" HEAD_OF("GET /unknown") "\r\n" HEAD_OF("POST /json")
                    JSON "Content-Length: 5\r\n\r\nthree");
    for (int i = 0; i < 5; i++) {
        static const char *const bodies[] = { "one!", "!", "two!", NULL, "three!" };

        client_read(fd, &reply, false);
        assert_int_equal(reply.status, bodies[i] != NULL ? 200 : 404);
        if (bodies[i] != NULL)
            assert_string_equal(buf_text(&reply.body), bodies[i]);
        reply_release(&reply);
    }
    close(fd);
    fixture_stop(&fixture);
}

/* Workers are busy and enough wait: more is refused at once, and what waits is served later. */
static void full_queue(void **state)
{
    const struct fixture_options small = { .waiting_max = 2, .worker_count = 1 };
    struct fixture fixture = { 0 };
    struct reply reply;
    int fds[3];

    start(&fixture, &small);
    atomic_store(&held, 1);
    for (int i = 0; i < 3; i++) {
        fds[i] = client_open(&fixture);
        client_send(fds[i], HEAD_OF("GET /waits") "\r\n");
        wait_for(i == 0 ? &blocked : &admitted, i == 0 ? 1 : i + 1);
    }
    for (unsigned status = 0; status != 503;) {
        reply = client_ask(&fixture, HEAD_OF("GET /blocks") "\r\n");
        status = reply.status;
        if (status == 503)
            assert_non_null(reply_header(&reply, "Retry-After"));
        reply_release(&reply);
    }
    expect(&fixture, HEAD_OF("GET /none") "\r\n", 200, "!"); /* loops go on */
    atomic_store(&held, 0);
    for (int i = 0; i < 3; i++) {
        client_read(fds[i], &reply, false);
        assert_int_equal(reply.status, 200);
        reply_release(&reply);
        close(fds[i]);
    }
    fixture_stop(&fixture);
}

/* A client that goes while a worker has its request: nothing is touched twice. */
static void client_that_goes(void **state)
{
    struct fixture fixture = { 0 };

    start(&fixture, NULL);
    atomic_store(&held, 1);
    for (int i = 0; i < 2; i++) {
        int fd = client_open(&fixture);

        client_send(fd, HEAD_OF("GET /waits") "\r\n");
        wait_for(&blocked, i + 1);
        close(fd);
    }
    atomic_store(&held, 0);
    wait_for(&handled, 2);
    fixture_stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_in_memory),  cmocka_unit_test(chunked_body_above_the_limit),
        cmocka_unit_test(ambiguous_framing), cmocka_unit_test(urls_and_headers),
        cmocka_unit_test(admission),         cmocka_unit_test(pipelined_requests),
        cmocka_unit_test(full_queue),        cmocka_unit_test(client_that_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
