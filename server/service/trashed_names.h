/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "common/base/buf.h"
#include "common/codec/json.h"

/* trashed_names - the versions that a job took to the trash, for its result: how many, and the
 * first thousand of them, as P/A/V. */
struct trashed_names {
    uint64_t count;
    struct buf items; /* JSON */
    struct json_writer writer;
};

struct trashed_names trashed_names_init(void);
void trashed_names_release(struct trashed_names *names);
void trashed_names_add(struct trashed_names *names, const char *project, const char *app,
                       const char *version);

/* The array, once, behind which nothing is added. */
void trashed_names_write(struct trashed_names *names, struct json_writer *writer, const char *name);
