/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * range - which bytes of a representation a request wants (RFC 9110, 14.2).
 *
 * Only the unit `bytes` and a single range are honoured: another unit, several
 * ranges and what does not follow the grammar mean "the whole", as the RFC allows.
 *
 *   bytes=A-B   A .. min(B, size - 1)      bytes=A-   A .. size - 1
 *   bytes=-N    the last min(N, size) bytes
 *
 * Unsatisfiable: A >= size, N = 0, or a representation of no bytes. B < A is not a range.
 * Pure functions, any bytes.
 */
enum range_kind {
    RANGE_WHOLE,         /* 200: offset 0, all of it */
    RANGE_PART,          /* 206 */
    RANGE_UNSATISFIABLE, /* 416 */
};

struct range {
    enum range_kind kind;
    uint64_t offset;
    uint64_t size; /* bytes to send; 0 for RANGE_UNSATISFIABLE */
};

/* `header` is the value of Range, NULL when absent. total_size: of the representation. */
struct range range_parse(const char *header, uint64_t total_size);

/* If-Range (NULL when absent): the range counts only when this holds. A date never does, a weak
 * ETag neither. `etag` is the strong one with its quotes. */
bool range_condition(const char *if_range, const char *etag);
