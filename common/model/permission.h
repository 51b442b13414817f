/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

#include "common/base/span.h"

struct buf;
struct error;

/* permission - what a token may do: a set of bits. `admin` implies the others. */
enum permission {
    PERMISSION_PULL = 1,
    PERMISSION_PUSH = 2,
    PERMISSION_PROMOTE = 4,
    PERMISSION_ADMIN = 8,
};
#define PERMISSION_ALL 15u

/* "push,pull": names separated by commas, each once, at least one. -EINVAL naming what is
 * allowed. */
int permission_parse(struct span text, unsigned *out_set, struct error *err);
/* In the order pull, push, promote, admin. */
void permission_format(unsigned set, struct buf *out);
/* The name of one bit; NULL for anything else. */
const char *permission_name(enum permission permission);
bool permission_allows(unsigned set, enum permission wanted);
