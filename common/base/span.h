/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * span - bytes that somebody else owns, with their length.
 *
 * Not terminated. A span of size 0 may have any pointer.
 */
struct span {
    const uint8_t *bytes;
    size_t size;
};

struct span span_of(const void *bytes, size_t size);
struct span span_text(const char *text); /* without the NUL; NULL gives an empty span */

bool span_equal(struct span a, struct span b);
bool span_equal_text(struct span a, const char *text);
bool span_starts_with(struct span a, struct span prefix);
int span_compare(struct span a,
                 struct span b); /* bytes unsigned, then the shorter first: <0, 0, >0 */

/* The part from `offset` (beyond the end: empty), at most `size` bytes. */
struct span span_slice(struct span a, size_t offset, size_t size);

/* Cuts at the first `separator`: *out_head is what stands before it, *rest what follows.
 * Without a separator the head is everything and *rest is empty; false when *rest was
 * empty at the call: the head is then empty too. */
bool span_cut(struct span *rest, uint8_t separator, struct span *out_head);

/* Without spaces and tabs (and CR, LF) at both ends. */
struct span span_trim(struct span a);
