/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "fs/holder/holder.h"
#include "fs/holder/holder_state.h"
#include "fs/holder/seat.h"
#include "fs/holder/worker_process.h"

/* holder_private - what holder.c (the loop), holder_workers.c (what follows a worker's end),
 * holder_mount.c (the mount) and holder_upgrade.c (becoming another program) share. */
struct holder {
    struct holder_state state;
    int state_fd;
    int program; /* open: what workers run */
    int signals;
    struct worker_user user;
    struct worker_files files;
    struct seat *seats[HOLDER_SEATS_MAX]; /* those of the state, in its order */
    size_t seat_count;
    bool over;       /* the loop ends */
    bool upgrade;    /* it becomes another program */
    int failed_code; /* exit code that the worker gave */
    struct error failure;
};

/* holder.c: one more, of this state (which is the holder's state's). */
int holder_add_seat(struct holder *holder, struct seat_state *state, struct seat **out_seat,
                    struct error *err);

/* holder_mount.c */
int holder_prepare(struct holder *holder, struct error *err); /* before the first worker */
int holder_mount(struct holder *holder, struct seat *seat, struct error *err);
void holder_unmount(struct holder *holder);
void holder_save(struct holder *holder);

/* holder_upgrade.c: answers at a seat's own socket; and goes, when it has been asked to. */
void holder_answer(struct seat *seat);
void holder_become(struct holder *holder);
