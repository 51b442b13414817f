/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/holder/worker_user.h"

struct error;
struct holder_state;
struct seat_state;
struct secret;

/*
 * worker_process - starting a worker, and all that it is given.
 *
 * It is the holder's own program again, run from an open descriptor as `kkartifact-fs --worker N
 * MOUNTPOINT`, N the socket over which the configuration comes: neither the token nor a path of a
 * secret is ever in its arguments or its environment. Its user can open neither file; it gets the
 * token's text, and a copy of the certificates and the directory of the cache as descriptors.
 */
#define WORKER_WORD "--worker"

/* What is read anew for each worker; what cannot be read any more stays as it was last. The socket
 * for metrics stays through all of them: who asks while none lives is answered by the next. */
struct worker_files {
    struct secret *token;
    int ca;      /* a copy in memory; -1: none */
    int cache;   /* the directory */
    int metrics; /* listens; -1: nowhere, or it could not */
};

int worker_files_read(struct worker_files *files, const struct holder_state *state,
                      const struct worker_user *user, struct error *err);
void worker_files_release(struct worker_files *files);

struct worker_start {
    const struct holder_state *state;
    const struct seat_state *seat;
    const struct worker_user *user;
    const struct worker_files *files;
    int program;        /* what is run */
    bool is_new;        /* of an attach: nobody has been answered on this connection */
    bool follows;       /* of an attach: it looks after the channel */
    uint64_t refuse_ms; /* not 0: it only stands in (fs/main/refusal.h), and ends after that time */
};

/* *out_socket is the holder's end. */
int worker_process_start(const struct worker_start *start, pid_t *out_pid, int *out_socket,
                         struct error *err);

/* Ends a worker that a former holder left behind, if the process is still that. */
void worker_process_end_stray(pid_t pid, const char *mountpoint);
