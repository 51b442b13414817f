/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

struct error;
struct pull_plan;
struct tree;

/*
 * pull_part - the plan that makes an entry of a tree, with all that is below it and the
 * directories above it, in an empty directory.
 */
int pull_part_make(const struct tree *tree, uint32_t index, struct pull_plan *out,
                   struct error *err);
