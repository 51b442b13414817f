/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

#include "common/codec/digest.h"

/*
 * digest_blocks - SHA-256 of many blocks of one size, which stand one behind the other.
 *
 * One stream of SHA-256 waits for itself: each step needs the one before. Blocks that do not need
 * each other can go through the processor side by side, which is what the leaves of a merkle tree
 * are: with Intel's multi-buffer library (libIPSec_MB, where the build found it; the digests of
 * SHA instructions two at a time, or sixteen in AVX-512) they cost little more than half. Without
 * it, and for a few blocks, one after the other by digest_of(): the same digests, always.
 *
 * Any thread, several at once. Never fails.
 */
void digest_blocks(const void *bytes, size_t block_size, size_t count, struct digest *out);
