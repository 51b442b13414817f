/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/error.h"
#include "fs/control/control.h"
#include "fs/holder/holder_backing.h"
#include "fs/holder/seat_state.h"

struct holder;
struct ring_watch;

/*
 * seat - one connection that a holder keeps alive: /dev/fuse, the memory of its requests, its
 * sockets, and one worker after the other (seat.c; holder_workers.c: what follows a worker's end).
 *
 * A repository mount has one. What outlives the process is in *state, the rest begins anew.
 */
struct seat {
    struct holder *holder;
    struct seat_state *state; /* belongs to the holder's state */
    struct ring_watch *watch;
    struct holder_backing backing;
    struct control_socket control, own; /* the worker answers at the first */
    pid_t worker;                       /* 0: none runs */
    int worker_socket;
    bool is_refusing; /* the worker only stands in */
    bool serves;      /* it has said so */
    bool was_ready;   /* one has, ever */
    bool over;        /* its connection has ended, or is to be given up */
    uint64_t started_ms, retry_ms;
    uint64_t beat_ms; /* as last seen, and how often it was the same */
    unsigned beats_missed;
    unsigned deaths;      /* in a row, before an answer */
    char why[128];        /* the worker that runs ends; "": that is not known */
    int failed_code;      /* before it was ready: the exit code that its worker gave, */
    struct error failure; /* ... and why; code 0: it has not failed */
};

#define SEAT_START_MS 60000 /* to begin to serve, where no server has to be asked */

/* Nothing is open yet. NULL: out of memory. */
struct seat *seat_new(struct holder *holder, struct seat_state *state);
/* Closes what it has, but for the worker, which has ended. NULL is fine; returns NULL. */
struct seat *seat_free(struct seat *seat);

/* What a worker needs before there is a mount: connection and ring, unless it has them. */
int seat_prepare(struct seat *seat, struct error *err);
/* The connection belongs to a mount of `device` now: takes the kernel's first request, and decides
 * how files are opened. */
int seat_take_device(struct seat *seat, uint64_t device, struct error *err);
/* resume: they are open, from before the program was another. */
int seat_open_sockets(struct seat *seat, bool resume, struct error *err);
/* Once a second: a worker that stands still, one that is due. */
void seat_tick(struct seat *seat);
bool seat_is_over(const struct seat *seat); /* as the kernel has it */

/* holder_workers.c */
int seat_start_worker(struct seat *seat, uint64_t refuse_ms, struct error *err);
/* The same, tried again by the loop when it cannot be done now. */
void seat_follow(struct seat *seat, uint64_t refuse_ms);
void seat_kill_worker(struct seat *seat, const char *why);
void seat_worker_ended(struct seat *seat, int status);
void seat_hear_worker(struct seat *seat);
/* Of a JSON object with this one member; what cannot be sent is lost, with the worker. */
void seat_tell_follow(struct seat *seat, bool on);
void seat_tell_refused(struct seat *seat, const char *why);
