/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>
#include <string.h>

/*
 * bytes - little-endian integers at any address.
 *
 * Inline because the tree image is read through them, entry by entry, out of a
 * mapping; compilers turn each into one load or store.
 */
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#define BYTES_SWAP(bits, value) __builtin_bswap##bits(value)
#else
#define BYTES_SWAP(bits, value) (value)
#endif

static inline uint16_t bytes_u16(const void *at)
{
    uint16_t value;

    memcpy(&value, at, sizeof(value));
    return BYTES_SWAP(16, value);
}

static inline uint32_t bytes_u32(const void *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return BYTES_SWAP(32, value);
}

static inline uint64_t bytes_u64(const void *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof(value));
    return BYTES_SWAP(64, value);
}

static inline void bytes_set_u16(void *at, uint16_t value)
{
    value = BYTES_SWAP(16, value);
    memcpy(at, &value, sizeof(value));
}

static inline void bytes_set_u32(void *at, uint32_t value)
{
    value = BYTES_SWAP(32, value);
    memcpy(at, &value, sizeof(value));
}

static inline void bytes_set_u64(void *at, uint64_t value)
{
    value = BYTES_SWAP(64, value);
    memcpy(at, &value, sizeof(value));
}
