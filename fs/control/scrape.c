/* SPDX-License-Identifier: MIT */
#include "fs/control/scrape.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/platform.h"
#include "common/base/span.h"
#include "common/codec/metric_text.h"

#define REQUEST_MAX 4096
#define ANSWER_MAX ((size_t)1024 * 1024)
#define LINGER_MS 1000
#define ACCEPT_PAUSE_MS 100 /* when there is no descriptor for one more */
#define TARGET "/metrics"

enum client_state {
    CLIENT_FREE,
    CLIENT_READS,
    CLIENT_WRITES,
    CLIENT_LINGERS, /* the answer is out: until the other side has closed, so that it gets it */
};

struct client {
    enum client_state state;
    int fd;
    uint64_t until_ms;
    char request[REQUEST_MAX];
    size_t size;
    struct buf answer;
    size_t sent;
};

struct scrape {
    int listening, stopping;
    scrape_write *function;
    void *context;
    pthread_t thread;
    uint64_t accept_ms; /* not before */
    struct client clients[SCRAPE_CLIENTS];
};

/* One client ---------------------------------------------------------------------- */

static void drop(struct client *client)
{
    close(client->fd);
    buf_release(&client->answer);
    client->state = CLIENT_FREE;
}

/* What is answered to a first line: a status, and whether a body is wanted. */
static const char *judge(struct span line, bool *out_body)
{
    struct span method, target, path;

    *out_body = true;
    if (!span_cut(&line, ' ', &method) || !span_cut(&line, ' ', &target) ||
        !span_starts_with(line, span_text("HTTP/1.")))
        return "400 Bad Request";
    if (!span_equal_text(method, "GET") && !span_equal_text(method, "HEAD"))
        return "405 Method Not Allowed";
    *out_body = !span_equal_text(method, "HEAD");
    span_cut(&target, '?', &path);
    if (!span_equal_text(path, TARGET))
        return "404 Not Found";
    return "200 OK";
}

static void answer(struct scrape *scrape, struct client *client, const char *status, bool body)
{
    struct buf text = buf_init(ANSWER_MAX);
    bool is_good = status[0] == '2';

    if (is_good)
        scrape->function(scrape->context, &text);
    else
        buf_format(&text, "%s\n", status);
    client->answer = buf_init(ANSWER_MAX + REQUEST_MAX);
    buf_format(&client->answer,
               "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%sConnection: close\r\n"
               "\r\n",
               status, is_good ? METRIC_TEXT_TYPE : "text/plain", text.size,
               status[2] == '5' ? "Allow: GET, HEAD\r\n" : "");
    if (body)
        buf_add_span(&client->answer, buf_span(&text));
    if (buf_check(&text, NULL) < 0 || buf_check(&client->answer, NULL) < 0) {
        buf_release(&text);
        drop(client);
        return;
    }
    buf_release(&text);
    client->state = CLIENT_WRITES;
    client->sent = 0;
    client->until_ms = clock_monotonic_ms() + SCRAPE_MS;
}

/* An empty line ends a request; lines may end in LF alone. */
static bool is_whole(const struct client *client)
{
    for (size_t i = 1; i < client->size; i++)
        if (client->request[i] == '\n' &&
            (client->request[i - 1] == '\n' ||
             (i >= 2 && client->request[i - 1] == '\r' && client->request[i - 2] == '\n')))
            return true;
    return false;
}

static void read_some(struct scrape *scrape, struct client *client)
{
    ssize_t got = recv(client->fd, client->request + client->size, REQUEST_MAX - client->size, 0);
    struct span rest, line;
    const char *status;
    bool body;

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        drop(client);
        return;
    }
    client->size += (size_t)got;
    if (is_whole(client)) {
        rest = span_of(client->request, client->size);
        span_cut(&rest, '\n', &line);
        status = judge(span_trim(line), &body);
        answer(scrape, client, status, body);
    } else if (client->size == REQUEST_MAX) {
        answer(scrape, client, "431 Request Header Fields Too Large", true);
    }
}

static void write_some(struct client *client)
{
    ssize_t sent = send(client->fd, client->answer.bytes + client->sent,
                        client->answer.size - client->sent, MSG_NOSIGNAL);

    if (sent < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (sent <= 0) {
        drop(client);
        return;
    }
    client->sent += (size_t)sent;
    if (client->sent < client->answer.size)
        return;
    shutdown(client->fd, SHUT_WR);
    client->state = CLIENT_LINGERS;
    client->until_ms = clock_monotonic_ms() + LINGER_MS;
}

static void wait_for_end(struct client *client)
{
    char passed_over[512];
    ssize_t got = recv(client->fd, passed_over, sizeof(passed_over), 0);

    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        drop(client);
}

static void serve(struct scrape *scrape, struct client *client)
{
    switch (client->state) {
    case CLIENT_FREE:
        break;
    case CLIENT_READS:
        read_some(scrape, client);
        break;
    case CLIENT_WRITES:
        write_some(client);
        break;
    case CLIENT_LINGERS:
        wait_for_end(client);
        break;
    }
}

/* All of them ------------------------------------------------------------------------ */

/* A free place; or that of the one who has said nothing whole for longest, or whose answer is out:
 * a monitor asks at once, so that those who only sit there do not keep it waiting. NULL: all are
 * being answered. */
static struct client *place_for_one(struct scrape *scrape)
{
    struct client *oldest = NULL;

    for (size_t i = 0; i < SCRAPE_CLIENTS; i++) {
        struct client *client = &scrape->clients[i];
        if (client->state == CLIENT_FREE)
            return client;
        if (client->state != CLIENT_WRITES &&
            (oldest == NULL || client->until_ms < oldest->until_ms))
            oldest = client;
    }
    return oldest;
}

static void accept_one(struct scrape *scrape)
{
    struct client *client = place_for_one(scrape);
    int fd =
        client == NULL ? -1 : accept4(scrape->listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (client == NULL)
        return;
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
            scrape->accept_ms = clock_monotonic_ms() + ACCEPT_PAUSE_MS;
        return;
    }
    if (client->state != CLIENT_FREE)
        drop(client);
    client->state = CLIENT_READS;
    client->fd = fd;
    client->size = 0;
    client->answer = buf_init(0);
    client->until_ms = clock_monotonic_ms() + SCRAPE_MS;
}

/* 0: stopping; 1: listening; then the clients. *out_wait_ms: until somebody is late. */
static void prepare(struct scrape *scrape, struct pollfd polled[2 + SCRAPE_CLIENTS],
                    int *out_wait_ms)
{
    uint64_t now_ms = clock_monotonic_ms(), first_ms = UINT64_MAX;
    bool may_accept = now_ms >= scrape->accept_ms;

    if (now_ms < scrape->accept_ms)
        first_ms = scrape->accept_ms;
    for (size_t i = 0; i < SCRAPE_CLIENTS; i++) {
        struct client *client = &scrape->clients[i];
        if (client->state != CLIENT_FREE && now_ms >= client->until_ms)
            drop(client);
        polled[2 + i] = (struct pollfd){ .fd = client->state == CLIENT_FREE ? -1 : client->fd };
        polled[2 + i].events = client->state == CLIENT_WRITES ? POLLOUT : POLLIN;
        if (client->state != CLIENT_FREE && client->until_ms < first_ms)
            first_ms = client->until_ms;
    }
    may_accept = may_accept && place_for_one(scrape) != NULL;
    polled[0] = (struct pollfd){ .fd = scrape->stopping, .events = POLLIN };
    polled[1] = (struct pollfd){ .fd = may_accept ? scrape->listening : -1, .events = POLLIN };
    *out_wait_ms = first_ms == UINT64_MAX ? -1 : (int)(first_ms - now_ms);
}

static void *scrape_main(void *context)
{
    struct scrape *scrape = context;
    struct pollfd polled[2 + SCRAPE_CLIENTS];
    int wait_ms;

    for (;;) {
        prepare(scrape, polled, &wait_ms);
        if (poll(polled, 2 + SCRAPE_CLIENTS, wait_ms) < 0) {
            if (errno == EINTR)
                continue;
            return NULL;
        }
        if (polled[0].revents != 0)
            return NULL;
        for (size_t i = 0; i < SCRAPE_CLIENTS; i++)
            if (polled[2 + i].revents != 0)
                serve(scrape, &scrape->clients[i]);
        if (polled[1].revents != 0)
            accept_one(scrape);
    }
}

static struct scrape *release(struct scrape *scrape)
{
    for (size_t i = 0; i < SCRAPE_CLIENTS; i++)
        if (scrape->clients[i].state != CLIENT_FREE)
            drop(&scrape->clients[i]);
    if (scrape->stopping >= 0)
        close(scrape->stopping);
    return memory_free(scrape);
}

int scrape_start(struct scrape **out_scrape, int listening, scrape_write *function, void *context,
                 struct error *err)
{
    struct scrape *scrape = memory_new(sizeof(*scrape));
    int r;

    if (scrape == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    scrape->listening = listening;
    scrape->function = function;
    scrape->context = context;
    scrape->stopping = eventfd(0, EFD_CLOEXEC);
    if (scrape->stopping < 0) {
        r = error_system(err, errno, "metrics");
    } else {
        r = platform_thread_start(&scrape->thread, scrape_main, scrape);
        if (r != 0)
            r = error_system(err, r, "metrics thread");
    }
    if (r < 0) {
        release(scrape);
        return r;
    }
    *out_scrape = scrape;
    return 0;
}

struct scrape *scrape_stop(struct scrape *scrape)
{
    uint64_t one = 1;

    if (scrape == NULL)
        return NULL;
    if (write(scrape->stopping, &one, sizeof(one)) == (ssize_t)sizeof(one))
        pthread_join(scrape->thread, NULL);
    return release(scrape);
}
