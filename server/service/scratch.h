/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

struct error;

/*
 * scratch - a large block of zeroed bytes for the length of one call, kept in a file without a
 * name rather than in anonymous memory, so that the server's own memory does not grow with a tree.
 *
 * The file's blocks are reserved at once: a full disk is -ENOSPC here and never a SIGBUS later.
 * A zeroed struct is an empty one.
 */
struct scratch {
    uint8_t *bytes;
    size_t size;
};

#define SCRATCH_SMALL (1u << 20) /* bytes; up to here it is memory anyway */

/* directory NULL: anonymous memory. size 0 gives an empty one. */
int scratch_map(const char *directory, uint64_t size, struct scratch *out, struct error *err);
/* In a file however small it is. */
int scratch_map_file(const char *directory, uint64_t size, struct scratch *out, struct error *err);
void scratch_release(struct scratch *scratch);

/* A file without a name in that directory (NULL: in memory), open for reading and writing. */
int scratch_file(const char *directory, int *out_fd, struct error *err);
