/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/buf.h"

struct error;

/*
 * holder_state - what a holder must know to go on with a mount, in a memfd.
 *
 * It is handed over when the holder becomes another program (upgrade), and kept by the service
 * manager for the case that the holder dies. It is written as a whole into one of two halves, then
 * the number in front says which counts: a death in between leaves the former state. It is JSON;
 * what a reader does not know it passes over, what is absent has no value, and `format` is only
 * raised when an old reader would do wrong.
 */
#define HOLDER_STATE_FORMAT 1

struct holder_descriptors { /* of a process that becomes another program; else -1 */
    int fuse, ring, control, own, worker;
};

struct holder_state {
    char *program; /* the path of the program, as it was at the start */
    char *mountpoint;
    char *source;      /* what is shown as mounted */
    char *store;       /* the id of the store; NULL: not known yet */
    uint64_t device;   /* of the mount; 0: not mounted yet */
    struct buf init;   /* the kernel's first request */
    struct buf config; /* what the workers are told, not read here */
    char *token_file;  /* read for each worker; NULL: none */
    char *ca_file;     /* or NULL */
    char *cache;       /* the directory */
    uint64_t deadline_ms;
    bool noexec;
    bool in_foreground;
    uint64_t restarts; /* of workers */
    uint64_t upgrades; /* of the program */
    char reason[128];  /* why the last one ended; "" */
    pid_t worker;      /* 0: none */
    struct holder_descriptors descriptors;
};

void holder_state_init(struct holder_state *state);
void holder_state_release(struct holder_state *state);

int holder_state_create(int *out_fd, struct error *err);
int holder_state_save(int fd, const struct holder_state *state, struct error *err);
/* Into an initialised one. -EBADMSG: damaged; -ENOTSUP: of a newer format. */
int holder_state_load(int fd, struct holder_state *state, struct error *err);
