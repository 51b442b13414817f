/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "server/http/tests/http_fixture.h"

#define SIZE 1000000

/* Byte i of the content; the file has 77 others in front. */
static uint8_t byte_at(uint64_t i)
{
    return (uint8_t)(i * 31 + (i >> 8));
}

static int content_file(void)
{
    static uint8_t bytes[SIZE + 77];
    char path[] = "/tmp/http_content.XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    unlink(path);
    for (size_t i = 0; i < SIZE; i++)
        bytes[77 + i] = byte_at(i);
    assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
    return fd;
}

static int begin(struct http_exchange *exchange, uint64_t size, bool *needed, uint64_t *offset,
                 uint64_t *part, struct error *err)
{
    const struct http_content content = { .media_type = "application/octet-stream",
                                          .etag = "\"tag\"",
                                          .size = size };

    return http_content_begin(exchange, &content, needed, offset, part, err);
}

static int from_file(struct http_exchange *exchange, void *context, struct error *err)
{
    uint64_t offset, part;
    bool needed;
    int fd, r = begin(exchange, SIZE, &needed, &offset, &part, err);

    if (r < 0 || !needed)
        return r;
    fd = content_file();
    r = http_content_file(exchange, &fd, 77 + offset, err);
    assert_int_equal(fd, -1);
    return r;
}

static int from_bytes(struct http_exchange *exchange, void *context, struct error *err)
{
    struct buf body = buf_init(SIZE);
    uint64_t offset, part;
    bool needed;
    int r = begin(exchange, SIZE, &needed, &offset, &part, err);

    if (r < 0 || !needed)
        return r;
    for (uint64_t i = 0; i < part; i++)
        buf_add_byte(&body, byte_at(offset + i));
    return http_content_bytes(exchange, &body, err);
}

struct cursor {
    uint64_t at, end;
};

static int cursor_read(void *context, void *out, size_t size, size_t *out_size, struct error *err)
{
    struct cursor *cursor = context;
    uint8_t *bytes = out;
    size_t part = 0;

    /* odd pieces, so that they do not fall on anybody's borders */
    for (; cursor->at < cursor->end && part < size && part < 70001; part++)
        bytes[part] = byte_at(cursor->at++);
    *out_size = part;
    return 0;
}

static void cursor_close(void *context)
{
    memory_free(context);
}

static int from_source(struct http_exchange *exchange, void *context, struct error *err)
{
    struct cursor *cursor;
    uint64_t offset, part;
    bool needed;
    int r = begin(exchange, SIZE, &needed, &offset, &part, err);

    if (r < 0 || !needed)
        return r;
    cursor = memory_new(sizeof(*cursor));
    *cursor = (struct cursor){ offset, offset + part };
    return http_content_source(exchange, &(struct http_source){ cursor, cursor_read, cursor_close },
                               err);
}

static int nothing(struct http_exchange *exchange, void *context, struct error *err)
{
    struct buf body = buf_init(10);
    uint64_t offset, part;
    bool needed;
    int r = begin(exchange, 0, &needed, &offset, &part, err);

    if (r < 0 || !needed)
        return r;
    return http_content_bytes(exchange, &body, err);
}

/* Others the next time, so that no part is of use. */
static int passing(struct http_exchange *exchange, void *context, struct error *err)
{
    const struct http_content content = { .media_type = "application/x",
                                          .size = 5,
                                          .cache_control = "no-store" };
    struct buf body = buf_init(10);
    uint64_t offset, part;
    bool needed;
    int r = http_content_begin(exchange, &content, &needed, &offset, &part, err);

    if (r < 0 || !needed)
        return r;
    assert_int_equal(offset, 0);
    assert_int_equal(part, 5);
    buf_add_text(&body, "whole");
    return http_content_bytes(exchange, &body, err);
}

static const struct http_operation operations[] = {
    { .label = "/file", .place = HTTP_ON_LOOP, .handle = from_file },
    { .label = "/bytes", .place = HTTP_ON_WORKER, .handle = from_bytes },
    { .label = "/source", .place = HTTP_ON_WORKER, .handle = from_source },
    { .label = "/nothing", .handle = nothing },
    { .label = "/passing", .handle = passing },
    { .label = NULL },
};

static struct reply ask(struct fixture *fixture, const char *method, const char *path,
                        const char *headers)
{
    struct buf request = buf_init(65536);
    struct reply reply;

    buf_format(&request, "%s %s HTTP/1.1\r\nHost: a\r\n%s\r\n", method, path, headers);
    reply = client_ask(fixture, buf_text(&request));
    buf_release(&request);
    return reply;
}

static void assert_part(struct reply *reply, uint64_t offset, uint64_t size)
{
    assert_true(reply->whole);
    assert_int_equal(reply->body.size, size);
    for (uint64_t i = 0; i < size; i++) {
        if (reply->body.bytes[i] != byte_at(offset + i))
            fail_msg("byte %d differs", (int)i);
    }
}

static const char *const paths[] = { "/file", "/bytes", "/source" };

static void whole_and_parts(void **state)
{
    static const struct {
        const char *headers;
        unsigned status;
        uint64_t offset, size;
        const char *content_range;
    } cases[] = {
        { "", 200, 0, SIZE, NULL },
        { "Range: bytes=0-0\r\n", 206, 0, 1, "bytes 0-0/1000000" },
        { "Range: bytes=500000-\r\n", 206, 500000, 500000, "bytes 500000-999999/1000000" },
        { "Range: bytes=-7\r\n", 206, 999993, 7, "bytes 999993-999999/1000000" },
        { "Range: bytes=-7000000\r\n", 206, 0, SIZE, "bytes 0-999999/1000000" },
        { "Range: bytes=10-20,30-40\r\n", 200, 0, SIZE, NULL },
        { "Range: lines=1-2\r\n", 200, 0, SIZE, NULL },
        { "Range: bytes=5-9\r\nIf-Range: \"tag\"\r\n", 206, 5, 5, "bytes 5-9/1000000" },
        { "Range: bytes=5-9\r\nIf-Range: \"other\"\r\n", 200, 0, SIZE, NULL },
        { "Range: bytes=5-9\r\nIf-Range: W/\"tag\"\r\n", 200, 0, SIZE, NULL },
        { "Range: bytes=5-9\r\nIf-None-Match: \"other\"\r\n", 206, 5, 5, "bytes 5-9/1000000" },
    };
    struct fixture fixture = { 0 };

    fixture_start(&fixture, operations, NULL);
    for (size_t p = 0; p < 3; p++) {
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            struct reply reply = ask(&fixture, "GET", paths[p], cases[i].headers);
            const char *range = reply_header(&reply, "Content-Range");

            if (reply.status != cases[i].status)
                fail_msg("%s %s: %u", paths[p], cases[i].headers, reply.status);
            assert_part(&reply, cases[i].offset, cases[i].size);
            if (cases[i].content_range == NULL)
                assert_null(range);
            else
                assert_string_equal(range, cases[i].content_range);
            assert_string_equal(reply_header(&reply, "ETag"), "\"tag\"");
            assert_string_equal(reply_header(&reply, "Accept-Ranges"), "bytes");
            assert_string_equal(reply_header(&reply, "Cache-Control"), "private, no-cache");
            reply_release(&reply);
        }
    }
    fixture_stop(&fixture);
}

static void unsatisfiable(void **state)
{
    struct fixture fixture = { 0 };
    struct reply reply;

    fixture_start(&fixture, operations, NULL);
    reply = ask(&fixture, "GET", "/file", "Range: bytes=1000000-\r\n");
    assert_int_equal(reply.status, 416);
    assert_string_equal(reply_header(&reply, "Content-Range"), "bytes */1000000");
    assert_non_null(strstr(buf_text(&reply.body), "\"code\":\"range\""));
    reply_release(&reply);
    reply = ask(&fixture, "GET", "/nothing", "Range: bytes=0-\r\n");
    assert_int_equal(reply.status, 416);
    assert_string_equal(reply_header(&reply, "Content-Range"), "bytes */0");
    reply_release(&reply);
    reply = ask(&fixture, "GET", "/nothing", "");
    assert_int_equal(reply.status, 200);
    assert_int_equal(reply.body.size, 0);
    reply_release(&reply);
    fixture_stop(&fixture);
}

static void head_and_not_modified(void **state)
{
    struct fixture fixture = { 0 };

    fixture_start(&fixture, operations, NULL);
    for (size_t p = 0; p < 3; p++) {
        struct reply reply = ask(&fixture, "HEAD", paths[p], "Range: bytes=1-2\r\n");

        assert_int_equal(reply.status, 200);
        assert_string_equal(reply_header(&reply, "Content-Length"), "1000000");
        assert_string_equal(reply_header(&reply, "ETag"), "\"tag\"");
        reply_release(&reply);
        reply = ask(&fixture, "GET", paths[p], "If-None-Match: \"x\", W/\"tag\"\r\n");
        assert_int_equal(reply.status, 304);
        assert_string_equal(reply_header(&reply, "ETag"), "\"tag\"");
        assert_null(reply_header(&reply, "Content-Type"));
        reply_release(&reply);
    }
    fixture_stop(&fixture);
}

static void never_in_parts(void **state)
{
    static const char *const headers[] = { "", "Range: bytes=1-2\r\n", "Range: bytes=9-\r\n",
                                           "Range: bytes=1-2\r\nIf-Range: \"w\"\r\n",
                                           "If-None-Match: *\r\n" };
    struct fixture fixture = { 0 };

    fixture_start(&fixture, operations, NULL);
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        struct reply reply = ask(&fixture, "GET", "/passing", headers[i]);

        assert_int_equal(reply.status, 200);
        assert_string_equal(buf_text(&reply.body), "whole");
        assert_string_equal(reply_header(&reply, "Accept-Ranges"), "none");
        assert_null(reply_header(&reply, "Content-Range"));
        assert_null(reply_header(&reply, "ETag"));
        assert_string_equal(reply_header(&reply, "Cache-Control"), "no-store");
        reply_release(&reply);
    }
    fixture_stop(&fixture);
}

/* One connection, one answer after the other: none may leave a byte of itself behind. */
static void answers_in_a_row(void **state)
{
    struct fixture fixture = { 0 };
    int fd;

    fixture_start(&fixture, operations, NULL);
    fd = client_open(&fixture);
    client_send(fd, "HEAD /file HTTP/1.1\r\nHost: a\r\n\r\n"
                    "GET /source HTTP/1.1\r\nHost: a\r\nRange: bytes=3-5\r\n\r\n"
                    "GET /bytes HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\n\r\n"
                    "GET /file HTTP/1.1\r\nHost: a\r\nRange: bytes=-9\r\n\r\n");
    for (int i = 0; i < 4; i++) {
        static const unsigned statuses[] = { 200, 206, 304, 206 };
        struct reply reply;

        client_read(fd, &reply, i == 0);
        assert_int_equal(reply.status, statuses[i]);
        if (i == 1)
            assert_part(&reply, 3, 3);
        if (i == 3)
            assert_part(&reply, SIZE - 9, 9);
        reply_release(&reply);
    }
    close(fd);
    fixture_stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_and_parts),       cmocka_unit_test(unsatisfiable),
        cmocka_unit_test(head_and_not_modified), cmocka_unit_test(never_in_parts),
        cmocka_unit_test(answers_in_a_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
