/* SPDX-License-Identifier: MIT */
#pragma once

#include <pthread.h>
#include <stdbool.h>

struct http_exchange;
struct http_server;

/*
 * http_watch - ends streams whose actor is no longer allowed to have them.
 *
 * Who may have an answer is judged before it begins; a slow reader takes hours for
 * it. So exchanges that last are in a list, and a thread asks the application twice
 * a second about each actor in it (http_server.h, alive). The connection of a dead
 * one is reset: what waits in the socket is thrown away with it.
 *
 * In each round it also ends feeds whose peer is gone (http_feed.h).
 *
 * An exchange is in the list only while its connection is open.
 */
struct http_watch {
    struct http_exchange *first; /* the list, `ending`: under the server's lock */
    pthread_cond_t wake;
    pthread_t thread;
    bool ending;
    bool running; /* false: nobody asks, the application has no alive() */
};

int http_watch_start(struct http_server *server);
/* Also when it never started. */
void http_watch_stop(struct http_server *server);

/* By whoever has the exchange. Does nothing when it has no actor, or is in the list already. */
void http_watch_add(struct http_exchange *exchange);
/* Before the connection is closed. */
void http_watch_remove(struct http_exchange *exchange);
