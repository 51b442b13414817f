/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/transfer/pull_plan.h"
#include "common/base/buf.h"
#include "common/base/span.h"

struct directory_looker;
struct error;

/*
 * pull_planning - a plan while it is made: for pull_plan_make.c and pull_plan_removals.c.
 */
struct planning {
    const struct pull_plan_options *options;
    struct pull_plan *plan;
    struct buf absent;  /* below this path nothing is there (ends with '/'); empty: none */
    struct buf cleared; /* directories of ours that go: each path and a NUL */
    uint8_t *buffer;    /* for reading files */
    struct directory_looker *looker;
};

bool planning_protects(const struct planning *planning, struct span path, bool is_directory);

/* After everything that the version has: what it lacks. */
int planning_removals(struct planning *planning, struct error *err);
