/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * xxh3 - XXH3-128 with seed 0 (Yann Collet, xxHash 0.8): quick, and proof of nothing.
 *
 * It tells which chunks are worth trying; whoever can choose the bytes can make two
 * that collide. What is built by it is verified by SHA-256 afterwards. Written down
 * as its low 64 bits, then its high 64 bits, little-endian. Any thread.
 */
#define XXH3_SIZE 16

void xxh3_of(const void *bytes, size_t size, uint8_t out[XXH3_SIZE]);
