/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "fs/holder/holder.h"
#include "fs/holder/holder_state.h"
#include "fs/holder/seat.h"
#include "fs/holder/worker_process.h"

struct json_value;
struct json_writer;
struct looker;

/* holder_private - what holder.c (the loop), holder_workers.c (what follows a worker's end),
 * holder_mount.c (the mount), holder_attach.c and holder_exec.c (one version at one place) and
 * holder_upgrade.c (becoming another program) share. */
struct holder {
    struct holder_state state;
    int state_fd;
    int program; /* open: what workers run */
    int signals;
    struct worker_user user;
    struct worker_files files;
    struct seat *seats[HOLDER_SEATS_MAX]; /* those of the state, in its order */
    size_t seat_count;
    struct seat *current;  /* what is at the mount point; NULL: nothing yet, or not any more */
    struct seat *coming;   /* of an attach: is not in its place yet; NULL: none */
    int coming_mount;      /* its mount */
    bool is_detached;      /* of an attach: what is shown was taken away, nothing follows */
    bool wants_exec;       /* another run of the command is due */
    bool over;             /* the loop ends */
    bool upgrade;          /* it becomes another program */
    struct looker *looker; /* holder_look.c */
};

/* holder.c: one more, of this state (which is the holder's state's). */
int holder_add_seat(struct holder *holder, struct seat_state *state, struct seat **out_seat,
                    struct error *err);

/* holder_mount.c */
int holder_prepare(struct holder *holder, struct error *err); /* before the first worker */
int holder_mount(struct holder *holder, struct seat *seat, struct error *err);
void holder_unmount(struct holder *holder);
void holder_save(struct holder *holder);

/* holder_attach.c: one version at one place, and the next one in its stead. */
#define ATTACH_FORMER_MAX 16 /* connections that are used though they are not shown any more */
/* Makes the connection of a seat that is coming, with a mount that is nowhere. */
int attach_connect(struct seat *seat, struct error *err);
/* Its worker serves: it is put in its place. */
int attach_arrive(struct seat *seat, const struct json_value *said, struct error *err);
/* The worker of the current one asks for another version. */
void attach_asked(struct seat *seat, const struct json_value *said);
/* Gives up one that is coming and has failed. After each turn of the loop. */
void attach_look_after(struct holder *holder);
/* What is shown is gone, or is to go: nothing follows any more. */
void attach_detach(struct holder *holder);
/* Whether this seat's worker looks after the channel. */
bool attach_follows(const struct seat *seat);
/* The member "attached" of an object. */
void attach_json(const struct holder *holder, struct json_writer *writer);

/* holder_exec.c: the command after a switch. One runs at a time; of those that are due meanwhile
 * the last. */
void exec_due(struct holder *holder);
void exec_ended(struct holder *holder, int status);

/* holder_look.c: which versions are in use, said to the workers; each second. */
void holder_look(struct holder *holder);

/* holder_upgrade.c: answers at a seat's own socket; and goes, when it has been asked to. */
void holder_answer(struct seat *seat);
void holder_become(struct holder *holder);
/* Whether its descriptors outlive an exec. */
int holder_keep_open(const struct holder *holder, bool keep);
