/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

/*
 * open_table - which files of a connection are open, and how, in memory that outlives the process
 * that answers.
 *
 * The kernel has one way of reading per inode, from its first open to its last release: by its page
 * cache, or past us out of a *backing file*, which has a number (the backing id, from 1 on). An
 * open that is answered in another way than those that live, or with another id, fails with EIO in
 * the program. So every open is written down before it is answered, and crossed out when it is
 * released; the memory is a memfd of whoever holds the mount, and the next process goes on with it.
 *
 * The kernel ends an open before it sends the release, and begins it after it has the answer: what
 * stands here is never less than what is true. A death may leave an open that nobody releases (its
 * program was killed while nobody answered): then the way of that file stays as it is, no more.
 *
 *     FREE --a grant--> OPEN --release--> FREE, the next generation
 *                        |
 *                        +--no entry was left for a further open--> KEPT: never released
 *
 * The handle names entry and generation, so that a release that the kernel sends again is not taken
 * for that of a later open; the number of the request names the open, so that one that is asked
 * again gets the same answer. An open without an entry has the handle 0: a file that is open
 * already then keeps its way for ever, and after one that was not no file begins to have a backing
 * file.
 *
 * A process has one table at a time, and one thread at a time is in it.
 */
struct open_table;

#define OPEN_TABLE_OPENS 131072
#define OPEN_TABLE_BACKINGS 4096 /* files at a time that have a backing file */

struct open_grant {
    uint64_t handle;
    uint32_t backing; /* 0: by the page cache */
};

/* A new one, of fixed size; the descriptor is the caller's. */
int open_table_create(int *out_fd, struct error *err);
/* Maps it; fd stays the caller's. -EBADMSG: it is none, or of a layout that this program does not
 * know. -ENOMEM. */
int open_table_attach(int fd, struct open_table **out_table, struct error *err);
struct open_table *open_table_detach(struct open_table *table); /* NULL is fine; returns NULL */

/* The answer that this request was given already, by whatever process. */
bool open_table_find(const struct open_table *table, uint64_t node, uint64_t number,
                     struct open_grant *out_grant);
/* A further open of a file that is open. False: it is not. */
bool open_table_join(struct open_table *table, uint64_t node, uint64_t number,
                     struct open_grant *out_grant);
/* The first open of a file that is not open, by the page cache. */
struct open_grant open_table_cached(struct open_table *table, uint64_t node, uint64_t number);
/* ... by a backing file. -ENOSPC, -ENOMEM: nothing was written down, it must not be answered so. */
int open_table_passed(struct open_table *table, uint64_t node, uint64_t number, uint32_t backing,
                      struct open_grant *out_grant);
/* Whether a file that is not open may get a backing file. */
bool open_table_may_pass(const struct open_table *table);

/* An open has ended, or was never taken. One that ended before: nothing happens. *out_backing: the
 * id that no open uses any more, or 0. */
void open_table_release(struct open_table *table, uint64_t node, uint64_t handle,
                        uint32_t *out_backing);

struct open_table_counts {
    size_t cached, passed; /* opens */
    size_t backings;       /* files that have one */
};
struct open_table_counts open_table_count(const struct open_table *table);

/* For the holder, which believes nothing that it finds: the ids in the memory, ascending, each
 * once, at most `capacity`. While no process answers. -EBADMSG, -ENOMEM. */
int open_table_backings(int fd, uint32_t *out_ids, size_t capacity, size_t *out_count);
/* Whether the id is among those. */
bool open_table_has_backing(const uint32_t *ids, size_t count, uint32_t id);
