/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

struct error;

/*
 * bitmap - which blobs of a listing are to be sent.
 *
 * Bit i, least significant first, belongs to the i-th f entry; 1 = send it; of
 * entries with equal sha256 only the first can be set. ceil(count / 8) bytes; the
 * bits behind the last are 0. The bytes are the caller's.
 */
size_t bitmap_size(uint64_t count);
bool bitmap_get(const uint8_t *bytes, uint64_t index);
void bitmap_set(uint8_t *bytes, uint64_t index);
void bitmap_clear(uint8_t *bytes, uint64_t index);
uint64_t bitmap_count(struct span bytes); /* bits set */
/* The first set bit at or behind `index`, or `count`. */
uint64_t bitmap_next(struct span bytes, uint64_t count, uint64_t index);

/* Of the right size, nothing behind the last bit: else -EBADMSG. */
int bitmap_check(struct span bytes, uint64_t count, struct error *err);
