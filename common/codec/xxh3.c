/* SPDX-License-Identifier: MIT */
#include "common/codec/xxh3.h"

#include <xxhash.h>

#include "common/base/bytes.h"

void xxh3_of(const void *bytes, size_t size, uint8_t out[XXH3_SIZE])
{
    XXH128_hash_t hash = XXH3_128bits(bytes, size);

    bytes_set_u64(out, hash.low64);
    bytes_set_u64(out + 8, hash.high64);
}
