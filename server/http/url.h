/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/span.h"

struct error;

/*
 * url - the target of a request as it was sent, taken apart and decoded by us.
 *
 * The path is split at '/' first and each segment is percent-decoded afterwards,
 * so that %2F and %00 arrive inside a segment, where the matcher can see and
 * refuse them. `+` is itself in a path and a space in a query. No normalisation:
 * "." and ".." and empty segments are segments like others. A path that is just
 * "/" has no segment. Decoded bytes live in the struct url; a NUL follows each value of the query.
 *
 * Errors: -EINVAL (no leading '/', '%' without two hex digits), -EFBIG (more than
 * URL_SEGMENTS_MAX segments or URL_QUERY_MAX query keys), -ENOMEM.
 */
#define URL_SEGMENTS_MAX 320
#define URL_QUERY_MAX 32

struct url_pair {
    struct span key, value;
};

struct url {
    struct span segments[URL_SEGMENTS_MAX];
    size_t segment_count;
    struct url_pair query[URL_QUERY_MAX];
    size_t query_count;
    uint8_t *decoded; /* backs the spans */
};

/* `target`: "/path?query" (a fragment is not sent by clients; '#' is kept as a byte). */
int url_parse(struct url *out, struct span target, struct error *err);
void url_release(struct url *url); /* a zeroed one is fine */

/* The value of the first query key of that name; false when absent. */
bool url_query(const struct url *url, const char *name, struct span *out_value);
