/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/log.h"
#include "server/http/tests/http_fixture.h"

static int answer(struct http_exchange *exchange, void *context, struct error *err)
{
    http_exchange_set_actor(exchange, "abcdefghijkl");
    if (http_exchange_header(exchange, "X-Fail") != NULL)
        return error_set(err, -EIO, "disk on fire");
    return http_answer_empty(exchange, 204, err);
}

static const struct http_operation operations[] = {
    { .label = "/a", .handle = answer },
    { .label = NULL },
};

/* The lines that were written while the requests were made. */
static void logged(const char *const *requests, enum log_level level, struct buf *out)
{
    struct fixture fixture = { 0 };
    int pipes[2], saved = dup(STDERR_FILENO);
    char piece[4096];
    ssize_t got;

    assert_int_equal(pipe(pipes), 0);
    fixture_start(&fixture, operations, NULL);
    log_setup(level, LOG_TEXT);
    assert_true(dup2(pipes[1], STDERR_FILENO) >= 0);
    for (; *requests != NULL; requests++) {
        struct reply reply = client_ask(&fixture, *requests);

        reply_release(&reply);
    }
    fixture_stop(&fixture);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(pipes[1]);
    close(saved);
    while ((got = read(pipes[0], piece, sizeof(piece))) > 0)
        buf_add(out, piece, (size_t)got);
    close(pipes[0]);
}

static const char *const requests[] = {
    "GET /a/read HTTP/1.1\r\nHost: a\r\nX-Request-Id: one\r\n\r\n",
    "PUT /a/write?x=%0aforged HTTP/1.1\r\nHost: a\r\nX-Request-Id: two\r\n"
    "Content-Length: 2\r\n\r\n{}",
    "GET /unknown HTTP/1.1\r\nHost: a\r\nX-Request-Id: three\r\n\r\n",
    "GET /a/fails HTTP/1.1\r\nHost: a\r\nX-Request-Id: four\r\nX-Fail: 1\r\n\r\n",
    NULL,
};

static void one_line_a_request(void **state)
{
    struct buf out = buf_init(65536);
    const char *text;
    size_t lines = 0;

    logged(requests, LOG_DEBUG, &out);
    text = buf_text(&out);
    for (const char *at = text; (at = strstr(at, "request_id=")) != NULL; at++)
        lines++;
    assert_int_equal(lines, 4);
    assert_non_null(strstr(text, "PUT /a/write?x=%0aforged"));
    assert_non_null(strstr(text, "status=204"));
    assert_non_null(strstr(text, "status=404"));
    assert_non_null(strstr(text, "received=2"));
    assert_non_null(strstr(text, "token=abcdefghijkl"));
    assert_non_null(strstr(text, "failure=\"disk on fire\""));
    buf_release(&out);
}

/* What went well and changed nothing is for debugging. */
static void reads_are_quiet(void **state)
{
    struct buf out = buf_init(65536);
    const char *text;

    logged(requests, LOG_INFO, &out);
    text = buf_text(&out);
    assert_null(strstr(text, "request_id=one"));
    assert_non_null(strstr(text, "request_id=two"));
    assert_non_null(strstr(text, "request_id=three"));
    assert_non_null(strstr(text, "request_id=four"));
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_line_a_request),
        cmocka_unit_test(reads_are_quiet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
