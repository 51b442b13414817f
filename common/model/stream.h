/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

struct buf;
struct error;

/*
 * stream - where bytes go to, and where they come from, piece by piece.
 *
 * A sink takes all of a piece or fails; what it returns ends the writer that
 * feeds it. A source gives 1..size bytes, or 0 at the end. Both are a function
 * and its context, copied freely; the context outlives their use.
 */
struct sink {
    int (*write)(void *context, const void *bytes, size_t size, struct error *err);
    void *context;
};

struct source {
    int (*read)(void *context, void *out, size_t size, size_t *out_size, struct error *err);
    void *context;
};

int sink_write(const struct sink *sink, const void *bytes, size_t size, struct error *err);

struct sink sink_to_buf(struct buf *buf); /* appends; the buf's failure is returned at once */
struct sink sink_to_counter(
    uint64_t *out_size);                 /* adds up the sizes, keeps nothing; start it at 0 */
struct sink sink_to_file(const int *fd); /* file_write() at its position; *fd is the caller's */

/* Reads a span to its end; *rest moves along and belongs to the caller. */
struct source source_of_span(struct span *rest);
struct source source_of_file(const int *fd);
