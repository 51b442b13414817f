/* SPDX-License-Identifier: MIT */
#include "server/http/http_exchange.h"

#include <string.h>
#include <unistd.h>

#include "server/http/tests/http_fixture.h"

/* Tells what it was asked. */
static int echo(struct http_exchange *exchange, void *context, struct error *err)
{
    struct buf body = buf_init(4096);
    uint64_t size = 0;
    bool known = http_exchange_body_size(exchange, &size);
    const char *query = http_exchange_query(exchange, "q");

    buf_format(&body, "%s|%s|%s|%d|%s", http_method_name(http_exchange_method(exchange)),
               query != NULL ? query : "-", http_exchange_peer(exchange), known ? (int)size : -1,
               http_exchange_request_id(exchange));
    return http_answer_text(exchange, 200, "text/plain", &body, false, err);
}

static const struct http_operation operations[] = {
    { .label = "/echo",
      .place = HTTP_ON_LOOP,
      .body = HTTP_BODY_JSON,
      .body_max = 1024,
      .handle = echo },
    { .label = NULL },
};

static void assert_starts(struct reply *reply, const char *start)
{
    if (strncmp(buf_text(&reply->body), start, strlen(start)) != 0)
        fail_msg("\"%s\" does not start with \"%s\"", buf_text(&reply->body), start);
}

static void parts_of_a_request(void **state)
{
    struct fixture fixture = { 0 };
    struct reply reply;

    fixture_start(&fixture, operations, NULL);
    reply = client_ask(&fixture, "GET /echo?x=1&q=a%26+b HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(reply.status, 200);
    assert_starts(&reply, "GET|a& b|127.0.0.1|-1|");
    reply_release(&reply);
    reply =
        client_ask(&fixture, "PATCH /echo?q=%00 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_starts(&reply, "PATCH|-|127.0.0.1|0|");
    reply_release(&reply);
    reply = client_ask(&fixture, "BREW /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_starts(&reply, "OTHER|-|");
    reply_release(&reply);
    fixture_stop(&fixture);
}

static void request_ids(void **state)
{
    static const char *const bad[] = {
        "", "a b", "a\"b", "\xc3\xa4",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    };
    struct fixture fixture = { 0 };
    struct reply reply;

    fixture_start(&fixture, operations, NULL);
    reply = client_ask(&fixture, "GET /echo HTTP/1.1\r\nHost: a\r\nX-Request-Id: Ab-1._\r\n\r\n");
    assert_string_equal(reply_header(&reply, "X-Request-Id"), "Ab-1._");
    assert_starts(&reply, "GET|-|127.0.0.1|-1|Ab-1._");
    assert_string_equal(reply_header(&reply, "X-Content-Type-Options"), "nosniff");
    reply_release(&reply);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct buf request = buf_init(4096);

        buf_format(&request, "GET /echo HTTP/1.1\r\nHost: a\r\nX-Request-Id: %s\r\n\r\n", bad[i]);
        reply = client_ask(&fixture, buf_text(&request));
        assert_int_equal(strlen(reply_header(&reply, "X-Request-Id")), 13);
        reply_release(&reply);
        buf_release(&request);
    }
    fixture_stop(&fixture);
}

static void forwarded_addresses(void **state)
{
    static const char forwarded[] = "GET /echo HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: %s\r\n\r\n";
    static const struct {
        const char *header, *peer;
    } cases[] = {
        { "10.1.2.3", "GET|-|10.1.2.3|" },
        { "6.6.6.6, 10.1.2.3",
          "GET|-|10.1.2.3|" }, /* what stands before was the client's own claim */
        { "6.6.6.6, 10.1.2.3, 127.0.0.1", "GET|-|10.1.2.3|" },
        { "::1", "GET|-|::1|" },
        { "evil", "GET|-|127.0.0.1|" },
        { "", "GET|-|127.0.0.1|" },
    };
    const struct fixture_options proxied = { .trusted_proxy = "127.0.0.1" };

    for (int trusted = 0; trusted < 2; trusted++) {
        struct fixture fixture = { 0 };

        fixture_start(&fixture, operations, trusted ? &proxied : NULL);
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            struct buf request = buf_init(4096);
            struct reply reply;

            buf_format(&request, forwarded, cases[i].header);
            reply = client_ask(&fixture, buf_text(&request));
            assert_starts(&reply, trusted ? cases[i].peer : "GET|-|127.0.0.1|");
            reply_release(&reply);
            buf_release(&request);
        }
        fixture_stop(&fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_of_a_request),
        cmocka_unit_test(request_ids),
        cmocka_unit_test(forwarded_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
