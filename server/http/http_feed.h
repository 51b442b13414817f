/* SPDX-License-Identifier: MIT */
#pragma once

#include <pthread.h>
#include <stdbool.h>

struct http_server;
struct map;

/*
 * http_feed - the server's feeds (http_answer.h, http_answer_feed()), for the files of this folder.
 *
 * A feed's connection is suspended while there is nothing to send: no thread, and nothing for the
 * loop to look at. All feeds are in one list under one lock, so that who wakes one never meets it
 * half gone, and so that the end of the server, or of a token, ends those that it concerns.
 *
 * Locks, in this order: the source's own (it may wake while it holds it), this one, the server's,
 * the library's. A feed calls its source without any of them.
 */
struct http_feed;

struct http_feeds {
    pthread_mutex_t lock;
    struct http_feed *first;
    bool ending; /* the server stops: new ones end at once */
};

void http_feeds_init(struct http_feeds *feeds);
void http_feeds_release(struct http_feeds *feeds);

/* Ends those whose actor is a key of `actors`. */
void http_feeds_end(struct http_server *server, const struct map *actors);
/* Ends those that wait and whose peer has closed: the library does not look at the connection of
 * one that is suspended, and it would keep its place until there is something to send. */
void http_feeds_end_closed(struct http_server *server);
/* Ends all: one that waits with the end of its body, one whose peer does not read by cutting. */
void http_feeds_stop(struct http_server *server);
