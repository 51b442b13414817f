/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "fs/holder/attach_state.h"
#include "fs/holder/seat_state.h"

struct error;

/*
 * holder_state - what a holder must know to go on with a mount, in a memfd.
 *
 * It is handed over when the holder becomes another program (upgrade), and kept by the service
 * manager for the case that the holder dies. It is written as a whole into one of two halves, then
 * the number in front says which counts: a death in between leaves the former state. It is JSON;
 * what a reader does not know it passes over, what is absent has no value, and `format` is only
 * raised when an old reader would do wrong. The first seat stands among the holder's own members,
 * as it did when there was only one; others are a list.
 */
#define HOLDER_STATE_FORMAT 1
#define HOLDER_STATE_FORMAT_ATTACH 2 /* who knows none would show all versions */
#define HOLDER_SEATS_MAX 18

struct holder_state {
    char *program; /* the path of the program, as it was at the start */
    char *mountpoint;
    char *source;      /* what is shown as mounted */
    char *store;       /* the id of the store; NULL: not known yet */
    struct buf config; /* what the workers are told, not read here */
    char *token_file;  /* read for each worker; NULL: none */
    char *ca_file;     /* or NULL */
    char *metrics;     /* where workers answer for metrics; NULL: nowhere */
    char *cache;       /* the directory */
    uint64_t deadline_ms;
    bool noexec;
    bool passthrough; /* wanted, when a connection is made */
    bool in_foreground;
    uint64_t upgrades; /* of the program */
    struct attach_state attach;
    struct seat_state *seats[HOLDER_SEATS_MAX]; /* its connections, the oldest first */
    size_t seat_count;                          /* 0: not begun yet */
};

void holder_state_init(struct holder_state *state);
void holder_state_release(struct holder_state *state);

int holder_state_create(int *out_fd, struct error *err);
int holder_state_save(int fd, const struct holder_state *state, struct error *err);
/* Another seat, at the end; the state's. NULL: out of memory, or all are taken. */
struct seat_state *holder_state_add_seat(struct holder_state *state);
/* Takes one out, and frees it; the others keep their order. */
void holder_state_remove_seat(struct holder_state *state, size_t index);

/* Into an initialised one; it has a seat then. -EBADMSG: damaged; -ENOTSUP: of a newer format. */
int holder_state_load(int fd, struct holder_state *state, struct error *err);
