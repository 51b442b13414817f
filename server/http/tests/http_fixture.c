/* SPDX-License-Identifier: MIT */
#include "server/http/tests/http_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/number.h"
#include "common/base/workers.h"
#include "server/http/url.h"

#define PATIENCE_S 30

static int match(struct http_exchange *exchange, void *context,
                 const struct http_operation **out_operation, struct error *err)
{
    const struct fixture *fixture = context;
    const struct url *url = http_exchange_url(exchange);

    for (const struct http_operation *at = fixture->operations; at->label != NULL; at++) {
        if (url->segment_count > 0 && span_equal_text(url->segments[0], at->label + 1)) {
            *out_operation = at;
            return 0;
        }
    }
    return error_set(err, -ENOENT, "no such operation");
}

static int admit(struct http_exchange *exchange, void *context, struct error *err)
{
    struct fixture *fixture = context;

    return fixture->admit != NULL ? fixture->admit(exchange, fixture, err) : 0;
}

void fixture_start(struct fixture *fixture, const struct http_operation *operations,
                   const struct fixture_options *given)
{
    const struct fixture_options none = { 0 }, *wish = given != NULL ? given : &none;
    const char *proxies[] = { wish->trusted_proxy, NULL };
    struct http_application application = { fixture, match, admit, NULL, wish->alive };
    struct http_options options = {
        .address = "127.0.0.1",
        .loop_count = wish->loop_count != 0 ? wish->loop_count : 2,
        .connection_max = 64,
        .idle_timeout_s = wish->idle_timeout_s != 0 ? wish->idle_timeout_s : 60,
        .header_max = wish->header_max != 0 ? wish->header_max : 32 * 1024,
        .waiting_max = wish->waiting_max != 0 ? wish->waiting_max : 64,
        .trusted_proxies = wish->trusted_proxy != NULL ? proxies : NULL,
    };
    struct error err = { 0 };

    log_setup(LOG_ERROR, LOG_TEXT);
    fixture->operations = operations;
    assert_int_equal(workers_new(&fixture->workers,
                                 wish->worker_count != 0 ? wish->worker_count : 2, 128, &err),
                     0);
    assert_int_equal(http_metrics_new(&fixture->metrics, &err), 0);
    options.workers = fixture->workers;
    options.metrics = fixture->metrics;
    if (http_server_start(&options, &application, &fixture->server, &err) < 0)
        fail_msg("%s", err.text);
    fixture->port = http_server_port(fixture->server);
}

void fixture_stop(struct fixture *fixture)
{
    fixture->server = http_server_stop(fixture->server, 10000);
    fixture->workers = workers_free(fixture->workers);
    fixture->metrics = http_metrics_free(fixture->metrics);
}

/* 0, or why not. */
static int open_connection(const struct fixture *fixture, int *out_fd)
{
    const struct timeval patience = { PATIENCE_S, 0 };
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(fixture->port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    *out_fd = fd;
    return connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 ? 0 : -errno;
}

int client_open(const struct fixture *fixture)
{
    int fd;

    assert_int_equal(open_connection(fixture, &fd), 0);
    return fd;
}

bool client_is_refused(const struct fixture *fixture)
{
    int fd, r = open_connection(fixture, &fd);

    close(fd);
    return r == -ECONNREFUSED;
}

void client_send_bytes(int fd, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    while (size > 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);

        if (sent <= 0)
            return;
        at += sent;
        size -= (size_t)sent;
    }
}

void client_send(int fd, const char *text)
{
    client_send_bytes(fd, text, strlen(text));
}

/* False at the end of the connection. */
static bool read_line(int fd, struct buf *out)
{
    for (;;) {
        char byte;

        if (recv(fd, &byte, 1, 0) != 1)
            return false;
        buf_add_byte(out, (uint8_t)byte);
        if (byte == '\n')
            return true;
    }
}

static bool read_exactly(int fd, struct buf *out, uint64_t size)
{
    static char piece[65536];

    while (size > 0) {
        ssize_t got = recv(fd, piece, size < sizeof(piece) ? (size_t)size : sizeof(piece), 0);

        if (got <= 0)
            return false;
        buf_add(out, piece, (size_t)got);
        size -= (uint64_t)got;
    }
    return true;
}

static bool read_chunks(int fd, struct buf *out)
{
    for (;;) {
        struct buf line = buf_init(1024);
        unsigned long size;
        bool there = read_line(fd, &line);

        size = there ? strtoul(buf_text(&line), NULL, 16) : 0;
        buf_release(&line);
        if (!there || !read_exactly(fd, out, size))
            return false;
        if (!read_line(fd, &line))
            return false;
        buf_release(&line);
        if (size == 0)
            return true;
    }
}

void client_read(int fd, struct reply *reply, bool head_only)
{
    const char *length, *coding;
    uint64_t size = 0;

    *reply = (struct reply){ .head = buf_init(BUF_UNLIMITED), .body = buf_init(BUF_UNLIMITED) };
    for (size_t before = 0; read_line(fd, &reply->head); before = reply->head.size) {
        if (reply->head.size - before == 2)
            break;
    }
    if (reply->head.size < 12)
        return;
    reply->status = (unsigned)strtoul(buf_text(&reply->head) + 9, NULL, 10);
    coding = reply_header(reply, "Transfer-Encoding");
    if (head_only || reply->status == 304 || reply->status == 204) {
        reply->whole = true;
    } else if (coding != NULL) {
        reply->whole = read_chunks(fd, &reply->body);
    } else {
        length = reply_header(reply, "Content-Length");
        assert_non_null(length);
        assert_int_equal(number_parse(span_text(length), UINT64_MAX, &size, NULL), 0);
        reply->whole = read_exactly(fd, &reply->body, size);
    }
}

bool client_sees_continue(int fd)
{
    struct buf line = buf_init(1024);
    bool seen = read_line(fd, &line) && strcmp(buf_text(&line), "HTTP/1.1 100 Continue\r\n") == 0;

    buf_clear(&line);
    seen = seen && read_line(fd, &line) && line.size == 2;
    buf_release(&line);
    return seen;
}

bool client_is_closed(int fd)
{
    char rest[4096];
    ssize_t got;

    do {
        got = recv(fd, rest, sizeof(rest), 0);
    } while (got > 0);
    return got == 0 || (got < 0 && errno != EAGAIN);
}

struct reply client_ask(const struct fixture *fixture, const char *request)
{
    struct reply reply;
    int fd = client_open(fixture);

    client_send(fd, request);
    client_read(fd, &reply, strncmp(request, "HEAD ", 5) == 0);
    close(fd);
    return reply;
}

void reply_release(struct reply *reply)
{
    buf_release(&reply->head);
    buf_release(&reply->body);
}

const char *reply_header(struct reply *reply, const char *name)
{
    static char value[4][1024];
    static unsigned next;
    struct span rest = span_text(buf_text(&reply->head)), line, key;

    while (span_cut(&rest, '\n', &line)) {
        span_cut(&line, ':', &key);
        if (key.size != strlen(name) || strncasecmp((const char *)key.bytes, name, key.size) != 0)
            continue;
        line = span_trim(line);
        next = (next + 1) % 4;
        assert_true(line.size < sizeof(value[0]));
        memcpy(value[next], line.bytes, line.size);
        value[next][line.size] = '\0';
        return value[next];
    }
    return NULL;
}

void wait_for(_Atomic int *counter, int wanted)
{
    const struct timespec moment = { 0, 2000000 };

    for (int i = 0; i < PATIENCE_S * 500; i++) {
        if (atomic_load(counter) >= wanted)
            return;
        nanosleep(&moment, NULL);
    }
    fail_msg("%d instead of %d", atomic_load(counter), wanted);
}
