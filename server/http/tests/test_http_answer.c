/* SPDX-License-Identifier: MIT */
#include "server/http/http_answer.h"

#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "common/codec/json.h"
#include "server/http/tests/http_fixture.h"

static int empty(struct http_exchange *exchange, void *context, struct error *err)
{
    http_answer_header(exchange, "X-Test", "first", err);
    http_answer_header(exchange, "x-test", "second", err);
    return http_answer_empty(exchange, 204, err);
}

static int large(struct http_exchange *exchange, void *context, struct error *err)
{
    struct buf body = buf_init(65536);

    buf_add_text(&body, "{\"a\":\"");
    for (int i = 0; i < 20000; i++)
        buf_add_byte(&body, 'a');
    buf_add_text(&body, "\"}");
    return http_answer_json(exchange, 200, &body, err);
}

static void members(void *context, struct json_writer *writer)
{
    json_integer(writer, "expected_offset", 42);
}

static int problem(struct http_exchange *exchange, void *context, struct error *err)
{
    return http_answer_problem(exchange, "offset-mismatch", "it stands at 42", members, NULL, err);
}

static int fails(struct http_exchange *exchange, void *context, struct error *err)
{
    uint64_t code = 0;

    http_exchange_body_size(exchange, &code);
    http_answer_header(exchange, "ETag", "\"never\"", err);
    return error_set(err, -(int)code, "said to the log at /secret/path");
}

static const struct http_operation operations[] = {
    { .label = "/empty", .handle = empty },
    { .label = "/large", .handle = large },
    { .label = "/problem", .handle = problem },
    { .label = "/fails", .handle = fails },
    { .label = NULL },
};

static void empty_answer(void **state)
{
    struct fixture fixture = { 0 };
    struct reply reply;

    fixture_start(&fixture, operations, NULL);
    reply = client_ask(&fixture, "GET /empty HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(reply.status, 204);
    assert_string_equal(reply_header(&reply, "X-Test"), "second");
    reply_release(&reply);
    fixture_stop(&fixture);
}

static void gzip_when_asked_for(void **state)
{
    struct fixture fixture = { 0 };
    struct reply reply;

    fixture_start(&fixture, operations, NULL);
    reply = client_ask(&fixture, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(reply.body.size, 20008);
    assert_null(reply_header(&reply, "Content-Encoding"));
    assert_string_equal(reply_header(&reply, "Content-Type"), "application/json");
    assert_non_null(strstr(reply_header(&reply, "Vary"), "Accept-Encoding"));
    reply_release(&reply);
    reply = client_ask(&fixture, "GET /large HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
    assert_string_equal(reply_header(&reply, "Content-Encoding"), "gzip");
    assert_true(reply.whole && reply.body.size < 1000);
    assert_memory_equal(reply.body.bytes, "\x1f\x8b", 2);
    reply_release(&reply);
    reply = client_ask(&fixture, "HEAD /large HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_string_equal(reply_header(&reply, "Content-Length"), "20008");
    reply_release(&reply);
    fixture_stop(&fixture);
}

static void problem_body(void **state)
{
    struct fixture fixture = { 0 };
    struct reply reply;

    fixture_start(&fixture, operations, NULL);
    reply = client_ask(&fixture, "GET /problem HTTP/1.1\r\nHost: a\r\nX-Request-Id: r1\r\n\r\n");
    assert_int_equal(reply.status, 409);
    assert_string_equal(reply_header(&reply, "Content-Type"), "application/problem+json");
    assert_non_null(strstr(buf_text(&reply.body), "\"code\":\"offset-mismatch\""));
    assert_non_null(strstr(buf_text(&reply.body), "\"status\":409"));
    assert_non_null(strstr(buf_text(&reply.body), "\"detail\":\"it stands at 42\""));
    assert_non_null(strstr(buf_text(&reply.body), "\"request_id\":\"r1\""));
    assert_non_null(strstr(buf_text(&reply.body), "\"expected_offset\":42"));
    reply_release(&reply);
    fixture_stop(&fixture);
}

static struct reply ask_failure(struct fixture *fixture, int code)
{
    static char body[200];
    struct buf request = buf_init(4096);
    struct reply reply;

    buf_format(&request, "PUT /fails HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%.*s", code,
               code, memset(body, 'x', sizeof(body)) != NULL ? body : "");
    reply = client_ask(fixture, buf_text(&request));
    buf_release(&request);
    return reply;
}

/* A stranger reads the words of 4xx, of 5xx only the number to ask about. */
static void errors_become_problems(void **state)
{
    static const struct {
        int code;
        unsigned status;
    } cases[] = { { EINVAL, 422 }, { ENOENT, 404 },  { EACCES, 403 },
                  { EPERM, 401 },  { EFBIG, 413 },   { EAGAIN, 503 },
                  { ENOSPC, 507 }, { EBADMSG, 500 }, { ENOMEM, 500 } };
    struct fixture fixture = { 0 };

    fixture_start(&fixture, operations, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct reply reply = ask_failure(&fixture, cases[i].code);

        if (reply.status != cases[i].status)
            fail_msg("%s: %u", strerror(cases[i].code), reply.status);
        assert_null(reply_header(&reply, "ETag"));
        assert_true((strstr(buf_text(&reply.body), "/secret/path") != NULL) ==
                    (cases[i].status < 500));
        assert_true((reply_header(&reply, "WWW-Authenticate") != NULL) == (reply.status == 401));
        assert_true((reply_header(&reply, "Retry-After") != NULL) == (reply.status == 503));
        reply_release(&reply);
    }
    fixture_stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_answer),
        cmocka_unit_test(gzip_when_asked_for),
        cmocka_unit_test(problem_body),
        cmocka_unit_test(errors_become_problems),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
