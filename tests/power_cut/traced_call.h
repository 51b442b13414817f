/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/power_cut/traced_node.h"

/*
 * traced_call - what the calls of a traced task change below a directory, written into a journal.
 */
#define TRACED_MARK_FD (-77) /* write(2) to it fails, and is a mark */

struct traced_call {
    const struct traced_rule *rule; /* NULL: of no interest */
    long number;
    uint64_t values[6];
    uint64_t covers; /* so many changes had ended when it began */
    /* What stood at the names before. */
    bool had_from, had_to;
    uint64_t from_inode, to_inode;
    char from[TRACED_PATH_SIZE], to[TRACED_PATH_SIZE];
};

/* The task enters a call; false: it is at the end of one whose beginning was not seen. */
bool traced_call_begins(struct traced *traced, pid_t task, struct traced_call *call);
void traced_call_ended(struct traced *traced, pid_t task, const struct traced_call *call);
