/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/span.h"

struct api_client;
struct range_part;

/*
 * range_fetch - some ranges of one object of the server, several requests at a time.
 *
 * Ranges with a small gap between them come in one request. Each is given once, in any
 * order; then done is called, once. One that the server did not give exactly as asked
 * for ends it with -EBADMSG. Loop thread.
 */
struct range_fetch_range {
    uint64_t offset, size; /* size >= 1; sorted, not overlapping */
};

typedef int range_fetch_give(void *context, uint64_t offset, struct span bytes, struct error *err);
typedef void range_fetch_done(void *context, int r, const struct error *err);

struct range_fetch_options {
    struct api_client *client;
    const char *path;                       /* copied */
    const struct range_fetch_range *ranges; /* copied */
    size_t count;                           /* at least 1 */
    range_fetch_give *give;                 /* what it returns ends the fetch */
    range_fetch_done *done;                 /* from a later turn of the loop */
    void *context;
};

struct range_fetch;

/* *out_fetch is gone once done was called. */
int range_fetch_start(const struct range_fetch_options *options, struct range_fetch **out_fetch,
                      struct error *err);
/* Nothing is given and done is not called any more. NULL is fine; returns NULL. */
struct range_fetch *range_fetch_cancel(struct range_fetch *fetch);
