/* SPDX-License-Identifier: MIT */
#include "server/http/http_feed.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/map.h"
#include "common/base/memory.h"
#include "server/http/http_state.h"

#define BLOCK 1024
/* A feed is a trickle: what a peer that does not read holds of the kernel's memory is little. */
#define SEND_BUFFER (64 * 1024)
/* A peer that is gone without a word is noticed by what is not acknowledged. */
#define UNACKNOWLEDGED_MS 45000u
/* Connections that one call of the kernel looks at. */
#define LOOK_BATCH 64

struct http_feed {
    struct http_server *server;
    struct MHD_Connection *connection;
    struct http_feed_source source;
    struct http_feed *previous, *next; /* the rest is under the lock of the feeds */
    char actor[HTTP_ACTOR_MAX + 1];
    int fd;
    bool waiting; /* suspended, until it is woken */
    bool loading; /* suspended, a worker has it */
    bool woken;   /* since the source was asked last */
    bool ended;
    bool failed;
};

void http_feeds_init(struct http_feeds *feeds)
{
    pthread_mutex_init(&feeds->lock, NULL);
}

void http_feeds_release(struct http_feeds *feeds)
{
    pthread_mutex_destroy(&feeds->lock);
}

/* Under the lock. */
static void wake(struct http_feed *feed)
{
    feed->woken = true;
    if (!feed->waiting)
        return;
    feed->waiting = false;
    http_server_resume(feed->server, feed->connection);
}

void http_feed_wake(struct http_feed *feed)
{
    struct http_feeds *feeds = &feed->server->feeds;

    pthread_mutex_lock(&feeds->lock);
    wake(feed);
    pthread_mutex_unlock(&feeds->lock);
}

void http_feeds_end(struct http_server *server, const struct map *actors)
{
    pthread_mutex_lock(&server->feeds.lock);
    for (struct http_feed *at = server->feeds.first; at != NULL; at = at->next) {
        if (!map_has(actors, span_text(at->actor)))
            continue;
        at->ended = true;
        wake(at);
    }
    pthread_mutex_unlock(&server->feeds.lock);
}

/* Under the lock: nobody in the list has a descriptor that is somebody else's by now. */
static void end_closed(struct http_feed **feeds, struct pollfd *looks, nfds_t count)
{
    if (count == 0 || poll(looks, count, 0) <= 0)
        return;
    for (nfds_t i = 0; i < count; i++) {
        if (looks[i].revents == 0)
            continue;
        feeds[i]->ended = true;
        wake(feeds[i]);
    }
}

void http_feeds_end_closed(struct http_server *server)
{
    struct http_feed *feeds[LOOK_BATCH];
    struct pollfd looks[LOOK_BATCH];
    nfds_t count = 0;

    pthread_mutex_lock(&server->feeds.lock);
    for (struct http_feed *at = server->feeds.first; at != NULL; at = at->next) {
        if (!at->waiting)
            continue;
        feeds[count] = at;
        looks[count++] = (struct pollfd){ .fd = at->fd, .events = POLLRDHUP };
        if (count == LOOK_BATCH) {
            end_closed(feeds, looks, count);
            count = 0;
        }
    }
    end_closed(feeds, looks, count);
    pthread_mutex_unlock(&server->feeds.lock);
}

void http_feeds_stop(struct http_server *server)
{
    pthread_mutex_lock(&server->feeds.lock);
    server->feeds.ending = true;
    for (struct http_feed *at = server->feeds.first; at != NULL; at = at->next) {
        at->ended = true;
        if (!at->waiting && !at->loading)
            shutdown(at->fd, SHUT_RDWR);
        wake(at);
    }
    pthread_mutex_unlock(&server->feeds.lock);
}

static void feed_link(struct http_feed *feed)
{
    struct http_feeds *feeds = &feed->server->feeds;

    pthread_mutex_lock(&feeds->lock);
    feed->ended = feeds->ending;
    feed->next = feeds->first;
    if (feed->next != NULL)
        feed->next->previous = feed;
    feeds->first = feed;
    pthread_mutex_unlock(&feeds->lock);
}

/* The library's last word about it, before it closes the connection. */
static void feed_free(void *context)
{
    struct http_feed *feed = context;
    struct http_server *server = feed->server;

    pthread_mutex_lock(&server->feeds.lock);
    if (feed->previous != NULL)
        feed->previous->next = feed->next;
    else
        server->feeds.first = feed->next;
    if (feed->next != NULL)
        feed->next->previous = feed->previous;
    pthread_mutex_unlock(&server->feeds.lock);
    feed->source.close(feed->source.context);
    memory_free(feed);
    http_server_stream_end(server);
}

static void feed_load(void *context)
{
    struct http_feed *feed = context;
    struct http_server *server = feed->server;
    struct MHD_Connection *connection = feed->connection;
    int r = feed->source.load(feed->source.context, NULL);

    pthread_mutex_lock(&server->feeds.lock);
    feed->loading = false;
    feed->failed |= r < 0;
    pthread_mutex_unlock(&server->feeds.lock);
    http_server_resume(server, connection);
}

/* Nothing to send for now. False: ask again, something came meanwhile. */
static bool feed_wait(struct http_feed *feed)
{
    struct http_server *server = feed->server;
    bool suspended = false;

    pthread_mutex_lock(&server->feeds.lock);
    if (!feed->woken && !feed->ended) {
        suspended = http_server_suspend(server, feed->connection);
        feed->waiting = suspended;
        feed->failed |= !suspended;
    }
    pthread_mutex_unlock(&server->feeds.lock);
    return suspended;
}

static bool feed_hand_over(struct http_feed *feed)
{
    struct http_server *server = feed->server;
    bool suspended;

    pthread_mutex_lock(&server->feeds.lock);
    suspended = http_server_suspend(server, feed->connection);
    feed->loading = suspended;
    feed->failed |= !suspended;
    pthread_mutex_unlock(&server->feeds.lock);
    if (suspended && workers_try(server->options.workers, feed_load, feed) < 0) {
        pthread_mutex_lock(&server->feeds.lock);
        feed->loading = false;
        feed->failed = true;
        pthread_mutex_unlock(&server->feeds.lock);
        http_server_resume(server, feed->connection);
    }
    return suspended;
}

/* False: the library is told *out_end. */
static bool feed_begin(struct http_feed *feed, ssize_t *out_end)
{
    bool goes_on;

    pthread_mutex_lock(&feed->server->feeds.lock);
    feed->woken = false;
    goes_on = !feed->ended && !feed->failed;
    *out_end = feed->failed ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
    pthread_mutex_unlock(&feed->server->feeds.lock);
    return goes_on;
}

static ssize_t feed_send(void *context, uint64_t position, char *out, size_t size)
{
    struct http_feed *feed = context;
    size_t taken = 0;
    ssize_t end;

    while (feed_begin(feed, &end)) {
        switch (feed->source.take(feed->source.context, out, size, &taken)) {
        case HTTP_FEED_BYTES:
            return (ssize_t)taken;
        case HTTP_FEED_WAIT:
            if (feed_wait(feed))
                return 0;
            break;
        case HTTP_FEED_LOAD:
            if (feed_hand_over(feed))
                return 0;
            break;
        case HTTP_FEED_END:
            return MHD_CONTENT_READER_END_OF_STREAM;
        }
    }
    return end;
}

static void tune(int fd)
{
    const int size = SEND_BUFFER;
    const unsigned unacknowledged_ms = UNACKNOWLEDGED_MS;

    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms, sizeof(unacknowledged_ms));
}

static struct http_feed *feed_new(struct http_exchange *exchange,
                                  const struct http_feed_source *source)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct http_feed *feed = info != NULL ? memory_new(sizeof(*feed)) : NULL;

    if (feed == NULL)
        return NULL;
    feed->server = exchange->server;
    feed->connection = exchange->connection;
    feed->source = *source;
    feed->fd = info->connect_fd;
    memcpy(feed->actor, exchange->actor, sizeof(feed->actor));
    return feed;
}

/* Takes the source, also on failure. */
static int feed_response(struct http_exchange *exchange, const struct http_feed_source *source,
                         struct http_feed **out_feed, struct MHD_Response **out_response,
                         struct error *err)
{
    struct http_feed *feed = feed_new(exchange, source);

    if (feed == NULL) {
        source->close(source->context);
        return error_set(err, -ENOMEM, "out of memory");
    }
    feed_link(feed);
    http_server_stream_begin(exchange->server);
    *out_response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, feed_send, feed, feed_free);
    if (*out_response == NULL) {
        feed_free(feed);
        return error_set(err, -ENOMEM, "out of memory");
    }
    tune(feed->fd);
    *out_feed = feed;
    return 0;
}

int http_answer_feed(struct http_exchange *exchange, const char *media_type,
                     const struct http_feed_source *source, struct http_feed **out_feed,
                     struct error *err)
{
    struct MHD_Response *response;
    struct http_feed *feed = NULL;
    int r = http_answer_header(exchange, "Content-Type", media_type, err);

    if (r < 0 || exchange->method == HTTP_HEAD) {
        source->close(source->context);
        *out_feed = NULL;
        return r < 0 ? r : http_answer_empty(exchange, 200, err);
    }
    r = feed_response(exchange, source, &feed, &response, err);
    if (r == 0)
        r = http_answer_response(exchange, 200, response, err);
    if (r < 0)
        return r;
    http_watch_add(exchange);
    *out_feed = feed;
    return 0;
}
