/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

/*
 * http_loop - one event loop around the transfers of HTTP requests.
 *
 * One thread runs the loop (the first that calls http_loop_run_once; it may hand
 * over when no call is in progress). Requests, timers and watches belong to that thread:
 * their functions are called on it, inside http_loop_run_once, one after the other, and may
 * start, cancel and free anything but the loop. http_loop_post and
 * http_loop_wake are the two calls for every thread.
 *
 * No descriptor of the loop leaks to children. Proxies of the environment
 * (http_proxy, ...) are not used, nor .netrc: the servers asked are those that were named.
 */
struct http_loop;

struct http_loop_options {
    size_t connections_per_host; /* requests in flight at one host; more of them wait. 0: 8 */
    size_t connections_idle;     /* kept open for later requests. 0: 16 */
    uint64_t bytes_per_s;        /* of all bodies, sent and received, together. 0: no limit */
};

int http_loop_new(struct http_loop **out_loop, const struct http_loop_options *options,
                  struct error *err);

/* Cancels the requests that are left (their on_done is called with -ECANCELED), runs what was
 * posted, drops timers. NULL is fine; returns NULL. */
struct http_loop *http_loop_free(struct http_loop *loop);

/* Waits for something to happen, at most `timeout_ms`, and handles it. Once a loop has nothing
 * to wait for it still waits for posts. -EIO when the system's poll fails. */
int http_loop_run_once(struct http_loop *loop, uint64_t timeout_ms, struct error *err);

/* Runs until done(context) is true; it is asked before each turn. -ETIMEDOUT at `deadline_ms` of
 * clock_monotonic_ms (UINT64_MAX: never). */
typedef bool http_loop_condition(void *context);
int http_loop_run_until(struct http_loop *loop, http_loop_condition *done, void *context,
                        uint64_t deadline_ms, struct error *err);

/* Has function(context) called on the loop's thread, soon, in the order of posting. Any thread.
 * -ENOMEM: it will not be called. */
typedef void http_loop_function(void *context);
int http_loop_post(struct http_loop *loop, http_loop_function *function, void *context);

/* The same without an allocation, for those who must not fail: `post` is the caller's memory and
 * belongs to the loop until function is called. */
struct http_post {
    http_loop_function *function;
    void *context;
    struct http_post *next; /* the loop's */
    bool owned;             /* the loop's */
};
void http_loop_post_at(struct http_loop *loop, struct http_post *post);

/* Ends the wait of http_loop_run_once now. Any thread, also a signal's helper thread. */
void http_loop_wake(struct http_loop *loop);

/* True on the thread that runs the loop now (or, when none does, ran it last). */
bool http_loop_is_mine(const struct http_loop *loop);

/*
 * Timers, loop thread only. The struct is the caller's and is linked into the loop while set.
 * A timer that is due is unset, then called.
 */
struct http_timer {
    http_loop_function *function;
    void *context;
    uint64_t due_ms; /* clock_monotonic_ms */
    size_t place;    /* the loop's: position + 1, 0 = not set */
};
/* Sets or moves. -ENOMEM. */
int http_timer_set(struct http_loop *loop, struct http_timer *timer, uint64_t due_ms);
void http_timer_clear(struct http_loop *loop, struct http_timer *timer); /* also when not set */

/* Extra descriptors (sockets, pipes, devices) to be polled for reading with the rest, so that a
 * program needs no second loop. Loop thread only; the struct is the caller's while watched. */
struct http_watch {
    http_loop_function *function; /* called while the descriptor is readable or has hung up */
    void *context;
    int fd;
    struct http_watch *next; /* the loop's */
};
void http_watch_add(struct http_loop *loop, struct http_watch *watch);
void http_watch_remove(struct http_loop *loop, struct http_watch *watch);

/* Bodies' bytes on the wire, of all requests since the loop was made. Any thread. */
uint64_t http_loop_sent_bytes(const struct http_loop *loop);
uint64_t http_loop_received_bytes(const struct http_loop *loop);
uint64_t http_loop_request_count(const struct http_loop *loop);
