/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "common/net/http_loop.h"

struct looker;
struct usage;

/*
 * looking - a mount without a holder has its own looks made for what is in use: of the processes
 * that this user may see. All on the loop's thread. Zeroed memory is none.
 */
struct looking {
    struct http_loop *loop;
    struct usage *usage;
    struct looker *looker;
    uint64_t device; /* of the mount */
    int program;
    struct http_timer timer;
};

/* What it cannot begin is left: then only what is read counts as used. */
void looking_start(struct looking *looking, struct http_loop *loop, struct usage *usage,
                   uint64_t device);
void looking_stop(struct looking *looking);
