/* SPDX-License-Identifier: MIT */
#include "common/model/tests/sample_bytes.h"

#include <string.h>

#include "common/base/bytes.h"
#include "common/codec/xxh3.h"
#include "common/model/gear.h"
#include "tests/support/unit.h"

static void fill(uint8_t *at, size_t size, uint64_t seed)
{
    seed = seed * 2862933555777941757u + 3037000493u;
    for (size_t i = 0; i < size; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        at[i] = (uint8_t)(seed >> 56);
    }
}

struct buf sample_bytes(size_t size, uint64_t seed)
{
    struct buf bytes = buf_init(BUF_UNLIMITED);

    buf_add_zeros(&bytes, size);
    assert_int_equal(buf_check(&bytes, NULL), 0);
    fill(bytes.bytes, size, seed);
    return bytes;
}

void sample_change(struct buf *bytes, size_t at, size_t size, uint64_t seed)
{
    fill(bytes->bytes + at, size, seed);
}

void sample_insert(struct buf *bytes, size_t at, size_t size, uint64_t seed)
{
    size_t behind = bytes->size - at;

    buf_add_zeros(bytes, size);
    assert_int_equal(buf_check(bytes, NULL), 0);
    memmove(bytes->bytes + at + size, bytes->bytes + at, behind);
    fill(bytes->bytes + at, size, seed);
}

#define TAIL_SIZE 256

size_t sample_small_chunks(size_t count, struct buf *out)
{
    static uint8_t chunk[GEAR_MAX_SIZE];
    uint8_t hash[XXH3_SIZE] = { 1 };
    size_t size = GEAR_MAX_SIZE;

    memset(chunk, 0, sizeof(chunk));
    for (uint64_t seed = 0; size > GEAR_MIN_SIZE + TAIL_SIZE; seed++) {
        fill(chunk + GEAR_MIN_SIZE, TAIL_SIZE, seed);
        size = gear_cut(chunk, GEAR_MAX_SIZE);
    }
    for (uint64_t number = 0; hash[0] % 64 != 0; number++) {
        bytes_set_u64(chunk, number);
        xxh3_of(chunk, size, hash);
    }
    for (size_t i = 0; i < count; i++)
        buf_add(out, chunk, size);
    assert_int_equal(buf_check(out, NULL), 0);
    return size;
}
