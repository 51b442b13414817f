/* SPDX-License-Identifier: MIT */
#pragma once

#include "common/model/delta_plan.h"

/* How the makers of a plan (delta_plan.c from chunk lists, delta_plan_trees.c from merkle trees)
 * fill it: ranges in order; those that continue each other become one. */
int delta_plan_add(struct delta_plan *plan, uint64_t length, bool copy, uint64_t base_offset,
                   struct error *err);

/* At the end: what literals resemble. */
void delta_plan_find_likenesses(struct delta_plan *plan);
