/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "tests/support/unit.h"

/* place - a directory of its own for a test: made by place_make(), gone with place_remove();
 * both are cmocka's set-up and tear-down, *state is a struct place. */
struct directory;

struct place {
    char path[64];
    struct directory *at;
};

int place_make(void **state);
int place_remove(void **state);

/* A file with missing parents, 0644. */
void place_put(struct place *place, const char *path, const char *text);

#define IN_A_PLACE(test) cmocka_unit_test_setup_teardown(test, place_make, place_remove)
