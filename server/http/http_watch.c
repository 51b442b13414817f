/* SPDX-License-Identifier: MIT */
#include "server/http/http_watch.h"

#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "common/base/cleanup.h"
#include "common/base/map.h"
#include "server/http/http_state.h"

#define WATCH_PERIOD_NS 500000000

void http_watch_add(struct http_exchange *exchange)
{
    struct http_server *server = exchange->server;
    const union MHD_ConnectionInfo *info;

    if (!server->watch.running || exchange->watched || exchange->actor[0] == '\0')
        return;
    info = MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info == NULL)
        return;
    exchange->watch_fd = info->connect_fd;
    exchange->watched = true;
    pthread_mutex_lock(&server->lock);
    exchange->watch_previous = NULL;
    exchange->watch_next = server->watch.first;
    if (exchange->watch_next != NULL)
        exchange->watch_next->watch_previous = exchange;
    server->watch.first = exchange;
    pthread_mutex_unlock(&server->lock);
}

void http_watch_remove(struct http_exchange *exchange)
{
    struct http_server *server = exchange->server;

    if (!exchange->watched)
        return;
    exchange->watched = false;
    pthread_mutex_lock(&server->lock);
    if (exchange->watch_previous != NULL)
        exchange->watch_previous->watch_next = exchange->watch_next;
    else
        server->watch.first = exchange->watch_next;
    if (exchange->watch_next != NULL)
        exchange->watch_next->watch_previous = exchange->watch_previous;
    pthread_mutex_unlock(&server->lock);
}

/* Under the lock. No memory for one: the next round finds it. */
static void collect_actors(const struct http_watch *watch, struct map *actors)
{
    for (struct http_exchange *at = watch->first; at != NULL; at = at->watch_next)
        map_set(actors, span_text(at->actor), at, NULL);
}

/* The application may block: without the lock. Leaves the dead ones. */
static void ask(const struct http_server *server, struct map *actors)
{
    const struct http_application *application = &server->application;
    char actor[HTTP_ACTOR_MAX + 1];
    struct span key;
    void *ignored;
    size_t at = 0;

    while (map_next(actors, &at, &key, &ignored)) {
        memcpy(actor, key.bytes, key.size);
        actor[key.size] = '\0';
        if (application->alive(actor, application->context))
            map_remove(actors, key);
    }
}

/* Under the lock. The library sees the end of its connection and ends the request. */
static void cut_dead(const struct http_watch *watch, const struct map *dead)
{
    const struct linger reset = { .l_onoff = 1, .l_linger = 0 };

    for (struct http_exchange *at = watch->first; at != NULL; at = at->watch_next) {
        if (!map_has(dead, span_text(at->actor)))
            continue;
        setsockopt(at->watch_fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        shutdown(at->watch_fd, SHUT_RDWR);
    }
}

static struct timespec next_round(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_nsec += WATCH_PERIOD_NS;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

static void *watch_run(void *context)
{
    struct http_server *server = context;
    struct http_watch *watch = &server->watch;

    pthread_mutex_lock(&server->lock);
    while (!watch->ending) {
        cleanup(map_release) struct map actors = map_init();
        const struct timespec until = next_round();

        pthread_cond_timedwait(&watch->wake, &server->lock, &until);
        if (watch->ending || watch->first == NULL)
            continue;
        collect_actors(watch, &actors);
        pthread_mutex_unlock(&server->lock);
        http_feeds_end_closed(server);
        ask(server, &actors);
        pthread_mutex_lock(&server->lock);
        if (actors.count == 0)
            continue;
        cut_dead(watch, &actors);
        /* The library does not look at the connection of a feed that waits. */
        pthread_mutex_unlock(&server->lock);
        http_feeds_end(server, &actors);
        pthread_mutex_lock(&server->lock);
    }
    pthread_mutex_unlock(&server->lock);
    return NULL;
}

int http_watch_start(struct http_server *server)
{
    struct http_watch *watch = &server->watch;
    pthread_condattr_t attributes;
    int r;

    if (server->application.alive == NULL)
        return 0;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&watch->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    r = pthread_create(&watch->thread, NULL, watch_run, server);
    if (r != 0) {
        pthread_cond_destroy(&watch->wake);
        return -r;
    }
    watch->running = true;
    return 0;
}

void http_watch_stop(struct http_server *server)
{
    struct http_watch *watch = &server->watch;

    if (!watch->running)
        return;
    pthread_mutex_lock(&server->lock);
    watch->ending = true;
    pthread_cond_signal(&watch->wake);
    pthread_mutex_unlock(&server->lock);
    pthread_join(watch->thread, NULL);
    pthread_cond_destroy(&watch->wake);
    watch->running = false;
}
