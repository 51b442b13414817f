/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "fs/opens/open_table.h"

struct error;
struct json_value;

/*
 * holder_backing - what a holder does so that the kernel reads complete files by itself.
 *
 * Registering a backing file needs a right that no worker has (fs/session/kernel_backing.h), so a
 * worker sends the file:
 *
 *     {"backing_open": NUMBER}, with a descriptor   ->  {"backing": NUMBER, "id": ID}
 *                                                   or  {"backing": NUMBER, "error": ERRNO}
 *     {"backing_close": [ID, ...]}
 *
 * The worker takes hostile input, so the holder registers only what the worker could have shown
 * anyway: regular files of the worker's user, on the file system of the cache, open for reading;
 * OPEN_TABLE_BACKINGS of them at a time. An answer that the worker does not come for is not waited
 * with: the file is unregistered again. Nor does a message of a worker's make the holder end, or
 * wait.
 *
 * A dead worker's ids that no open uses (fs/opens) are unregistered before the next one starts.
 */
struct holder_backing {
    uint32_t ids[OPEN_TABLE_BACKINGS]; /* registered */
    size_t count;
};

/* Where a worker is, and what it may show. */
struct holder_backing_place {
    int fuse;     /* the connection */
    int cache;    /* the directory */
    uint32_t uid; /* whose files */
    int socket;   /* to the worker */
};

/* For tests of what a kernel before 6.9 does: this variable of the environment keeps a connection
 * from having backing files. */
#define HOLDER_WITHOUT_PASSTHROUGH "KKARTIFACT_FS_WITHOUT_PASSTHROUGH"

/* A new connection, whose first request was read, may have backing files: then it has a table of
 * open files. */
bool holder_backing_is_possible(struct span init);

/* Does what a message asks for. The descriptors stay the caller's. False: it is about something
 * else. */
bool holder_backing_hear(struct holder_backing *backing, const struct holder_backing_place *place,
                         const struct json_value *said, const int descriptors[]);

/* No worker runs: what is registered is what the table names, be it by another holder; the rest
 * is unregistered. opens -1: nothing is done. */
void holder_backing_settle(struct holder_backing *backing, int fuse, int opens);
