/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/error.h"
#include "fs/control/control.h"
#include "fs/holder/holder.h"
#include "fs/holder/holder_state.h"
#include "fs/holder/worker_process.h"

struct ring_watch;

/* holder_private - what holder.c (the loop), holder_workers.c (what follows a worker's end),
 * holder_mount.c (the mount, its sockets) and holder_upgrade.c (becoming another program) share. */
struct holder {
    struct holder_state state;
    int state_fd;
    int program; /* open: what workers run */
    int signals;
    struct worker_user user;
    struct worker_files files;
    struct ring_watch *watch;
    struct control_socket control, own; /* the worker answers at the first */
    pid_t worker;                       /* 0: none runs */
    int worker_socket;
    bool is_refusing; /* the worker only stands in */
    bool serves;      /* it has said so */
    bool was_ready;   /* one has, ever */
    bool over;        /* the loop ends */
    bool upgrade;     /* it becomes another program */
    uint64_t started_ms, retry_ms;
    uint64_t beat_ms; /* as last seen, and how often it was the same */
    unsigned beats_missed;
    unsigned deaths; /* in a row, before an answer */
    char why[128];   /* the worker that runs ends; "": that is not known */
    int failed_code; /* exit code that the worker gave */
    struct error failure;
};

/* holder_workers.c */
int holder_start_worker(struct holder *holder, uint64_t refuse_ms, struct error *err);
/* The same, tried again by the loop when it cannot be done now. */
void holder_follow(struct holder *holder, uint64_t refuse_ms);
void holder_kill_worker(struct holder *holder, const char *why);
void holder_worker_ended(struct holder *holder, int status);
void holder_hear_worker(struct holder *holder);

/* holder_mount.c */
int holder_prepare(struct holder *holder, struct error *err); /* before the first worker */
int holder_mount(struct holder *holder, struct error *err);
int holder_open_sockets(struct holder *holder, bool resume, struct error *err);
void holder_unmount(struct holder *holder);
void holder_save(struct holder *holder);

/* holder_upgrade.c: answers at the holder's own socket; and goes, when it has been asked to. */
void holder_answer(struct holder *holder);
void holder_become(struct holder *holder);
