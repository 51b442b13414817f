/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct json_writer;
struct ops;
struct question;

/*
 * opens - how files are opened, where the kernel asks: complete ones out of the cache's own file,
 * which the kernel then reads without us, others through its page cache.
 *
 * A file that is open keeps its way (fs/opens). The first open of one that is complete waits for
 * the backing file: it is hashed when this process has not done so yet, and registered by the
 * holder; who opens the same file meanwhile waits too. After OPENS_PATIENCE_MS it goes through the
 * page cache, as does what the holder refuses; when the holder was what took so long, nobody
 * waits for it for OPENS_SLOW_MS. Nor is a server waited for, which a closed tree may need: the
 * reads that follow wait for it. An object is not evicted while this process knows it as a backing
 * file.
 */
struct opens;

#define OPENS_PATIENCE_MS 500
#define OPENS_SLOW_MS 10000

/* An OPEN that has just come: answers what needs nothing but the table. False: the question goes on
 * its way, to question_open(). */
bool opens_answer_known(struct question *question);
/* Patience has ended, whatever is waited for: answers, without ending it. Loop thread. */
void opens_settle(struct question *question);
void opens_release(struct ops *ops, uint64_t node, uint64_t handle);

/* Each turn while questions wait. Loop thread. */
void opens_watch(struct ops *ops, uint64_t now_ms);

/* The member "passthrough". */
void opens_status_json(struct ops *ops, struct json_writer *writer);

/* What waits was answered, and is ended. Loop thread, or none running. Opens or not. */
void opens_end(struct ops *ops);
struct opens *opens_free(struct opens *opens); /* NULL is fine; returns NULL */
