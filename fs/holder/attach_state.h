/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/model/names.h"

struct error;
struct json_value;
struct json_writer;

/*
 * attach_state - the part of holder_state.h that only an attach has: what is shown at its place,
 * and what has become of it.
 */
struct attach_state {
    bool is_attached;
    char *project, *app;
    char *channel; /* that is followed; NULL: one version for ever */
    char *exec;    /* a command for /bin/sh, run after each switch; NULL: none */

    char previous[VERSION_TEXT_SIZE]; /* shown before the last switch; "" */
    uint64_t switches;
    int64_t switched_at_s; /* 0: never */

    pid_t exec_pid; /* of the command that runs; 0: none */
    char exec_version[VERSION_TEXT_SIZE];
    int64_t exec_at_s;    /* when it ended; 0: none has */
    char exec_result[64]; /* how the last one ended: "exit code 1", "signal 9"; "": well, or none */
};

void attach_state_release(struct attach_state *state);
/* Its members, into an object that the caller has begun. */
void attach_state_write(struct json_writer *writer, const struct attach_state *state);
/* Into a zeroed one; is_attached is set. -EBADMSG: it is not whole, or of a wrong kind. */
int attach_state_read(const struct json_value *object, struct attach_state *state,
                      struct error *err);
