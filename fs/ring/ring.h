/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

/*
 * ring - the kernel's requests that were read and not answered yet, in memory that outlives the
 * process that read them.
 *
 * The memory is a memfd of whoever holds the mount. A worker reads each request straight into a
 * slot and frees the slot after the reply was written; when it dies, the next one finds in the
 * slots what is still owed. One worker at a time; any of its threads.
 *
 * A slot holds the first RING_REQUEST_SIZE bytes of a request. No request of a read-only mount
 * needs more, but for names that are longer than any that exist here; those are refused from their
 * header alone. All pages are resident (and locked, where the limit allows): a kill that cuts a
 * page-in inside read(2) would end the request with an error.
 *
 *     FREE --ring_claim--> TAKEN --ring_filled--> TAKEN, with a length --ring_answered--> FREE
 *                            |                       |
 *                            +-- a death: nothing    +-- a death: replayed from here; or, where
 *                                was read, FREE          the kernel sends it again, CARRIED
 *
 * A CARRIED slot only remembers when its request was first asked, so that the deadline counts
 * from there; the request that comes again takes that over. The kernel marks it by bit 63 of its
 * number. What never comes again is recycled when slots run out.
 */
struct ring;

#define RING_REQUEST_SIZE 496
#define RING_SLOTS 4096
#define RING_RESENT ((uint64_t)1 << 63)

/* The beginning of a request, as the kernel has it. */
struct ring_header {
    uint32_t size;
    uint32_t operation;
    uint64_t number;
};

/* A new one; the descriptor is the caller's. Its size is sealed. */
int ring_create(int *out_fd, struct error *err);

/* Maps it; fd stays the caller's. What a death left half-read is freed, the rest is for
 * ring_replay or ring_carry. -EBADMSG: it is none, or of a layout that this program does not
 * know. */
int ring_open(int fd, struct ring **out_ring, struct error *err);
struct ring *ring_close(struct ring *ring); /* NULL is fine; returns NULL */

/* Calls function for each request that is owed; it answers, now or later, by ring_answered. Before
 * the first claim. Returns how many there were. */
typedef void ring_function(void *context, size_t slot);
size_t ring_replay(struct ring *ring, ring_function *function, void *context);
/* Keeps only the times of what is owed: the kernel sends it again. */
size_t ring_carry(struct ring *ring);

/* A slot to read into. -EAGAIN: none was free for that long. */
int ring_claim(struct ring *ring, uint64_t timeout_ms, size_t *out_slot);
uint8_t *ring_bytes(struct ring *ring, size_t slot); /* RING_REQUEST_SIZE */
/* A request was read into the slot. */
void ring_filled(struct ring *ring, size_t slot);
/* Nothing was read, or what was read wants no answer. */
void ring_release(struct ring *ring, size_t slot);
/* The reply to this number was written; its slot is free. False: no slot has it. */
bool ring_answered(struct ring *ring, uint64_t number);

struct ring_header ring_header(const struct ring *ring, size_t slot);
/* When the request was first read, clock_monotonic_ms. */
uint64_t ring_asked_ms(const struct ring *ring, size_t slot);
size_t ring_owed(struct ring *ring); /* slots that are not free, CARRIED ones aside */

/*
 * What the holder sees of a worker, in the first page: whether it has answered any request since
 * ring_watch_reset, and when its event loop last turned. Written by the worker, so it is believed
 * only for what concerns that worker.
 */
struct ring_watch;
int ring_watch_open(int fd, struct ring_watch **out_watch, struct error *err);
struct ring_watch *ring_watch_close(struct ring_watch *watch);
void ring_watch_reset(struct ring_watch *watch, uint64_t now_ms);
bool ring_watch_answered(const struct ring_watch *watch);
uint64_t ring_watch_beat_ms(const struct ring_watch *watch);
void ring_beat(struct ring *ring, uint64_t now_ms);
