/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"

/* sample_bytes - bytes without a pattern, the same for the same seed. Released by the caller. */
struct buf sample_bytes(size_t size, uint64_t seed);

/* `size` bytes at `at` become others. */
void sample_change(struct buf *bytes, size_t at, size_t size, uint64_t seed);

/* `size` new bytes at `at`; what stood there moves up. */
void sample_insert(struct buf *bytes, size_t at, size_t size, uint64_t seed);
