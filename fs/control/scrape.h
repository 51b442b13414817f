/* SPDX-License-Identifier: MIT */
#pragma once

struct buf;
struct error;

/*
 * scrape - answers GET /metrics at a listening socket, and nothing else (docs/design/mount.md says
 * why no HTTP library does).
 *
 * One thread. At most SCRAPE_CLIENTS connections at a time; one that comes then takes the place of
 * that which has asked for nothing yet for longest. One request a connection, of 4 KiB and
 * SCRAPE_MS at most, and as long again for its answer: who is slower is dropped. Nothing of a
 * request is used but its first line, and of that nothing goes anywhere. Whoever reaches the socket
 * is answered: counters, no names.
 */
#define SCRAPE_CLIENTS 16
#define SCRAPE_MS 5000

struct scrape;

/* Appends the text; on the thread of the scrape. */
typedef void scrape_write(void *context, struct buf *out);

/* `listening` does not block, and stays the caller's. */
int scrape_start(struct scrape **out_scrape, int listening, scrape_write *function, void *context,
                 struct error *err);
/* Ends thread and connections. NULL is fine; returns NULL. */
struct scrape *scrape_stop(struct scrape *scrape);
