/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* name_fold_table - what name_fold.c looks up; each list is sorted. */

/* first, first + step ... last fold to themselves plus `difference`. */
struct name_fold_run {
    uint32_t first, last;
    int32_t difference;
    uint32_t step;
};

/* A character that is two (second 0: another one). */
struct name_fold_part {
    uint16_t code, first, second;
};

extern const struct name_fold_run name_fold_runs[];
extern const size_t name_fold_run_count;
extern const struct name_fold_part name_fold_parts[];
extern const size_t name_fold_part_count;
