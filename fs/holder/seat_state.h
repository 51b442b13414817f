/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "common/codec/digest.h"
#include "common/model/names.h"

struct error;
struct json_value;
struct json_writer;

/*
 * seat_state - what has to be known of one connection to go on with it: the part of holder_state.h
 * that there is once for each.
 */
struct seat_descriptors { /* of a process that becomes another program; else -1 */
    int fuse, ring, opens, control, own, worker; /* opens: fs/opens, where files are opened */
};

struct seat_state {
    uint64_t device;                 /* of the connection's mount; 0: there is none yet */
    struct buf init;                 /* the kernel's first request */
    uint64_t restarts;               /* of workers */
    char reason[128];                /* why the last one ended; "" */
    pid_t worker;                    /* 0: none */
    char version[VERSION_TEXT_SIZE]; /* that an attach shows there; "": not known, or all */
    char tree[DIGEST_HEX_SIZE];      /* its tree's digest; "" */
    struct seat_descriptors descriptors;
};

/* NULL: out of memory. */
struct seat_state *seat_state_new(void);
struct seat_state *seat_state_free(struct seat_state *state); /* NULL is fine; returns NULL */

/* Its members, into an object that the caller has begun. */
void seat_state_write(struct json_writer *writer, const struct seat_state *state);
/* Into a new one. What is absent has no value; -EBADMSG: what is there is of a wrong kind. */
int seat_state_read(const struct json_value *object, struct seat_state *state, struct error *err);
